// Phoenix channels, serializer version 2, as Phoenix 1.7 answers.
//
// The socket refuses the token "stranger", and other versions of the serializer. A topic begins with
// "room:"; joining "room:private" is refused. What is posted to /api/ingest goes out as an event
// new_code on the topic that it names, and so does what a client pushes as new_code. A POST to
// /api/crash crashes the channels of a topic.
"use strict";

const { createServer } = require("http");
const { WebSocketServer } = require("ws");
const { answer, body, count, start } = require("./common");

/** The sockets that have joined a topic, with the reference of the join. */
const topics = new Map();

const send = (socket, ...message) => socket.send(JSON.stringify(message));

/** Send an event to all who have joined a topic. */
function broadcast(topic, event, payload) {
  const text = JSON.stringify([null, null, topic, event, payload]);
  for (const socket of (topics.get(topic) || new Map()).keys()) {
    count(text);
    socket.send(text);
  }
}

/** Handle a client's message. */
function handle(socket, [joined, reference, topic, event, payload]) {
  const reply = (status, response = {}) =>
    send(socket, joined, reference, topic, "phx_reply", { status, response });
  if (topic === "phoenix" && event === "heartbeat") return reply("ok");
  if (event === "phx_join") {
    if (!topic.startsWith("room:")) return reply("error", { reason: "unmatched topic" });
    if (topic === "room:private") return reply("error", { reason: "unauthorized" });
    if (!topics.has(topic)) topics.set(topic, new Map());
    topics.get(topic).set(socket, joined);
    return reply("ok");
  }
  const members = topics.get(topic);
  if (!members || !members.has(socket)) return reply("error", { reason: "unmatched topic" });
  if (event === "phx_leave") {
    members.delete(socket);
    reply("ok");
    return send(socket, joined, reference, topic, "phx_close", {});
  }
  broadcast(topic, event, payload);
  reply("ok");
}

const http = createServer(async (request, response) => {
  if (request.method !== "POST") return answer(response, 404, {});
  const { topic, code } = await body(request);
  if (request.url === "/api/ingest") {
    broadcast(topic, "new_code", { code });
  } else if (request.url === "/api/crash") {
    for (const [socket, joined] of topics.get(topic) || []) {
      send(socket, joined, joined, topic, "phx_error", {});
    }
    topics.delete(topic);
  } else {
    return answer(response, 404, {});
  }
  answer(response, 200, { status: "success" });
});
const sockets = new WebSocketServer({ noServer: true });
sockets.on("connection", (socket) => {
  socket.on("message", (text) => handle(socket, JSON.parse(text)));
  socket.on("close", () => {
    for (const members of topics.values()) members.delete(socket);
  });
});
http.on("upgrade", (request, socket, head) => {
  const { pathname, searchParams } = new URL(request.url, "http://any");
  const known = searchParams.get("token") !== "stranger" && searchParams.get("vsn") === "2.0.0";
  const status = pathname !== "/socket/websocket" ? "404 Not Found" : known ? "" : "403 Forbidden";
  if (status) return socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`);
  sockets.handleUpgrade(request, socket, head, (opened) => sockets.emit("connection", opened));
});
start(http);
