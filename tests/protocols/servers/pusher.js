// A server of Pusher Channels protocol 7, with the application that signs private channels.
//
// Clients connect at /app/KEY, codes come in at /apps/ID/events, and /broadcasting/auth signs a
// subscription for who has a bearer token, by the library that applications use.
"use strict";

const crypto = require("crypto");
const http = require("http");
const Pusher = require("pusher");
const { answer, count, start, text } = require("./common");
const { accept } = require("./websockets");

const app = { appId: "app-id", key: "app-key", secret: "app-secret" };
const library = new Pusher({ ...app, host: "127.0.0.1" });
const TOKEN = "user-token";
const channels = new Map();
let connected = 0;

const hmac = (text) => crypto.createHmac("sha256", app.secret).update(text).digest("hex");

function frame(event, data, channel) {
  // As Pusher does: data is a text that contains JSON.
  return JSON.stringify({ event, channel, data: JSON.stringify(data) });
}

function refuse(client, code, message) {
  client.send(JSON.stringify({ event: "pusher:error", data: { code, message } }));
  client.close(code, message);
}

function greet(client, url) {
  const version = url.searchParams.get("protocol");
  const key = url.pathname.split("/")[2];
  if (key !== app.key) {
    refuse(client, 4001, `App key ${key} not in this cluster. Did you forget to specify it?`);
  } else if (!version) {
    refuse(client, 4008, "No protocol version supplied");
  } else if (version !== "7") {
    refuse(client, 4007, `Unsupported protocol version: ${version}`);
  } else {
    connected += 1;
    client.socketId = `${process.pid}.${connected}`;
    client.channels = new Map();
    client.on("message", (text) => take(client, JSON.parse(text)));
    client.on("close", () => [...client.channels.keys()].forEach((name) => leave(client, name)));
    const data = { socket_id: client.socketId, activity_timeout: 120 };
    client.send(frame("pusher:connection_established", data));
  }
}

function take(client, { event, channel, data }) {
  if (event === "pusher:ping") {
    client.send(JSON.stringify({ event: "pusher:pong", data: {} }));
  } else if (event === "pusher:subscribe") {
    subscribe(client, data);
  } else if (event === "pusher:unsubscribe") {
    leave(client, data.channel);
  } else if (event.startsWith("client-")) {
    emit(client, event, channel, data);
  }
}

function subscribe(client, { channel, auth, channel_data: member }) {
  const kind = channel.split("-")[0];
  if (["private", "presence"].includes(kind)) {
    const signed = [client.socketId, channel, ...(member === undefined ? [] : [member])].join(":");
    if (auth !== `${app.key}:${hmac(signed)}`) {
      const data = { type: "AuthError", error: "The connection is unauthorized.", status: 401 };
      client.send(JSON.stringify({ event: "pusher:subscription_error", channel, data }));
      return;
    }
  }
  if (channel.includes("#")) {
    refuse(client, 4009, `Invalid channel name: ${channel}`);
    return;
  }
  if (!channels.has(channel)) {
    channels.set(channel, new Set());
  }
  const members = channels.get(channel);
  let presence = {};
  if (kind === "presence") {
    const own = JSON.parse(member);
    for (const other of members) {
      other.send(frame("pusher_internal:member_added", own, channel));
    }
    client.channels.set(channel, own);
    const everybody = [...members, client].map((each) => each.channels.get(channel));
    const ids = [...new Set(everybody.map((each) => each.user_id))];
    const hash = Object.fromEntries(everybody.map((each) => [each.user_id, each.user_info]));
    presence = { presence: { ids, hash, count: ids.length } };
  } else {
    client.channels.set(channel, null);
  }
  members.add(client);
  client.send(frame("pusher_internal:subscription_succeeded", presence, channel));
}

function leave(client, channel) {
  const own = client.channels.get(channel);
  client.channels.delete(channel);
  channels.get(channel)?.delete(client);
  if (own) {
    for (const other of channels.get(channel)) {
      const data = { user_id: own.user_id };
      other.send(frame("pusher_internal:member_removed", data, channel));
    }
  }
}

// Client events go to all others in a channel that the client is in, and only in private ones.
function emit(client, event, channel, data) {
  if (!client.channels.has(channel) || !/^(private|presence)-/.test(channel)) {
    const words = "Client events only work in private and presence channels";
    client.send(JSON.stringify({ event: "pusher:error", data: { code: 4301, message: words } }));
    return;
  }
  const message = JSON.stringify({ event, channel, data });
  for (const other of channels.get(channel)) {
    if (other !== client) send(other, message);
  }
}

function send(client, message) {
  client.send(message);
  count(message);
}

function trigger(response, url, body) {
  // The library only makes signatures; this is how Pusher documents them.
  const query = Object.fromEntries(url.searchParams);
  const { auth_signature: signature, ...signed } = query;
  const pairs = Object.keys(signed).sort().map((name) => `${name}=${signed[name]}`).join("&");
  const md5 = crypto.createHash("md5").update(body).digest("hex");
  const age = Math.abs(Date.now() / 1000 - Number(query.auth_timestamp));
  if (url.pathname !== `/apps/${app.appId}/events`) {
    answer(response, 404, { error: "Not found" });
  } else if (query.auth_key !== app.key) {
    answer(response, 401, { error: "Unknown auth_key" });
  } else if (query.body_md5 !== md5 || age > 600) {
    answer(response, 401, { error: "Invalid signature: body_md5 or auth_timestamp is wrong" });
  } else if (hmac(`POST\n${url.pathname}\n${pairs}`) !== signature) {
    answer(response, 401, { error: "Invalid signature: it is not the HMAC SHA256 of the request" });
  } else {
    const { name, data, channels: names, channel } = JSON.parse(body);
    for (const each of names || [channel]) {
      const message = JSON.stringify({ event: name, channel: each, data });
      for (const client of channels.get(each) || []) send(client, message);
    }
    answer(response, 200, {});
  }
}

function sign(request, response, body) {
  if (request.headers.authorization !== `Bearer ${TOKEN}`) {
    answer(response, 403, { message: "Unauthenticated." });
    return;
  }
  const form = new URLSearchParams(body);
  const id = form.get("socket_id");
  const channel = form.get("channel_name");
  const user = { user_id: `user ${id}`, user_info: { name: "a \"user\"" } };
  const member = channel.startsWith("presence-") ? user : undefined;
  try {
    answer(response, 200, library.authorizeChannel(id, channel, member));
  } catch (error) {
    answer(response, 500, { message: error.message });
  }
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const body = await text(request);
  if (url.pathname === "/broadcasting/auth") sign(request, response, body);
  else trigger(response, url, body);
});
accept(server, (url) => url.pathname.startsWith("/app/"), greet);
start(server);
