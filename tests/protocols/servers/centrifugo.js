// A server of Centrifugo's JSON protocol and HTTP API: centrifugo.js TTL.
//
// Connections need a token (a JWT, HMAC SHA-256); those of tokens that expire end after TTL seconds
// unless they are refreshed. POST /token gives one. Channels keep a history, from which a client
// recovers what it missed. Replies and publications of one moment go out in one frame, a line each.
"use strict";

const crypto = require("crypto");
const http = require("http");
const { answer, count, start, text } = require("./common");
const { accept } = require("./websockets");

const TTL = Number(process.argv[2] || 60);
const [SECRET, API_KEY, HISTORY] = ["token-secret", "api-key", 1000];
const ERRORS = {
  102: "unknown channel",
  103: "permission denied",
  107: "bad request",
  109: "token expired",
};
const CLOSES = {
  3005: "connection expired",
  3012: "no pong",
  3500: "invalid token",
  3501: "bad request",
};
const channels = new Map();

const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const signature = (text) => crypto.createHmac("sha256", SECRET).update(text).digest("base64url");
const now = () => Date.now() / 1000;

function token(seconds) {
  const text = `${encoded({ alg: "HS256", typ: "JWT" })}.${encoded({ sub: "ann", exp: now() + seconds })}`;
  return `${text}.${signature(text)}`;
}

/** Return a token's claims; null if it is invalid. */
function claims(given) {
  const [head, payload, signed] = given.split(".");
  if (signed !== signature(`${head}.${payload}`)) return null;
  return JSON.parse(Buffer.from(payload, "base64url"));
}

function channel(name) {
  // A name with a colon begins with a namespace, and none is configured.
  if (!name || name.includes(":")) return null;
  if (!channels.has(name)) {
    const epoch = crypto.randomBytes(2).toString("hex");
    channels.set(name, { name, epoch, offset: 0, history: [], members: new Set() });
  }
  return channels.get(name);
}

function publish(where, data) {
  const pub = { data, offset: ++where.offset };
  where.history.push(pub);
  if (where.history.length > HISTORY) where.history.shift();
  const line = JSON.stringify({ push: { channel: where.name, pub } });
  for (const client of where.members) write(client, line);
  return { offset: where.offset, epoch: where.epoch };
}

/** Take all subscriptions to a channel away. */
function unsubscribe(where) {
  const given = { code: 2000, reason: "server unsubscribe" };
  for (const client of where.members) {
    write(client, JSON.stringify({ push: { channel: where.name, unsubscribe: given } }));
  }
  where.members.clear();
}

/** Write a line; those of one moment go in one frame. */
function write(client, line) {
  if (client.lines.push(line) === 1) setImmediate(flush, client);
}

function flush(client) {
  if (!client.lines.length) return;
  const frame = client.lines.join("\n");
  client.lines = [];
  client.send(frame);
  count(frame);
}

function close(client, code) {
  flush(client);
  client.close(code, CLOSES[code]);
}

function greet(client) {
  client.lines = [];
  client.on("message", (frame) => {
    for (const line of String(frame).split("\n").filter(Boolean)) take(client, JSON.parse(line));
  });
  client.on("close", () => {
    clearInterval(client.pings);
    clearTimeout(client.expiry);
    for (const each of channels.values()) each.members.delete(client);
  });
}

function take(client, { id, connect, subscribe, unsubscribe, publish: publication, refresh }) {
  const reply = (name, value) => write(client, JSON.stringify({ id, [name]: value }));
  const fail = (code) => reply("error", { code, message: ERRORS[code] });
  if (connect || refresh) {
    const found = claims((connect || refresh).token || "");
    if (!(connect || refresh).token) return close(client, 3501);
    if (!found) return close(client, 3500);
    if (found.exp < now()) return fail(109);
    reply(connect ? "connect" : "refresh", welcome(client, found.exp));
    if (connect) ping(client);
  } else if (id === undefined) {
    client.pong = true;
  } else if (!client.pings) {
    close(client, 3501);
  } else if (subscribe) {
    const where = channel(subscribe.channel);
    if (!where) return fail(102);
    if (where.name.startsWith("$")) return fail(103);
    where.members.add(client);
    reply("subscribe", position(where, subscribe));
  } else if (publication) {
    publish(channel(publication.channel), publication.data);
    reply("publish", {});
  } else if (unsubscribe) {
    channel(unsubscribe.channel).members.delete(client);
    reply("unsubscribe", {});
  } else {
    fail(107);
  }
}

function welcome(client, expires) {
  clearTimeout(client.expiry);
  client.expiry = setTimeout(() => close(client, 3005), (expires - now()) * 1000);
  const ttl = Math.ceil(expires - now());
  return { client: "c", version: "6.0.0", expires: true, ttl, ping: 25, pong: true };
}

function ping(client) {
  client.pong = true;
  client.pings = setInterval(() => {
    if (!client.pong) return close(client, 3012);
    client.pong = false;
    write(client, "{}");
  }, 25000);
}

/** Return where a channel's stream is, and what a client has missed; zeros are left out. */
function position(where, { recover, epoch, offset = 0 }) {
  const { offset: top } = where;
  const result = { recoverable: true, epoch: where.epoch };
  if (recover) {
    const missed = where.history.filter((pub) => pub.offset > offset);
    const recovered = epoch === where.epoch && missed.length === top - offset;
    if (recovered && missed.length) result.publications = missed;
    if (recovered) result.recovered = true;
  }
  if (top) result.offset = top;
  result.positioned = true;
  if (recover) result.was_recovering = true;
  return result;
}

const server = http.createServer(async (request, response) => {
  const given = JSON.parse((await text(request)) || "{}");
  if (request.url === "/token") {
    answer(response, 200, { token: token(TTL) });
  } else if (!["/api/publish", "/api/unsubscribe"].includes(request.url)) {
    answer(response, 404, {});
  } else if (request.headers["x-api-key"] !== API_KEY) {
    answer(response, 401, { error: "unauthorized" });
  } else if (request.url === "/api/unsubscribe") {
    unsubscribe(channel(given.channel));
    answer(response, 200, { result: {} });
  } else {
    const where = channel(given.channel);
    if (!where) answer(response, 200, { error: { code: 102, message: ERRORS[102] } });
    else answer(response, 200, { result: publish(where, given.data) });
  }
});
accept(server, ({ pathname }) => pathname === "/connection/websocket", greet);
start(server);
