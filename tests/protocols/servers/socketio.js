// Socket.IO's reference server: socketio.js MODULE [recovery].
//
// MODULE is socket.io, or socket.io2 for its version 2. The user "stranger" is refused. A client
// joins a room by the event `join`. What is posted to /api/ingest goes out as
// an event `code`, to the room that it names or else to everybody.
"use strict";

const { createServer } = require("http");
const { answer, body, count, start } = require("./common");

const http = createServer(async (request, response) => {
  if (request.method !== "POST" || request.url !== "/api/ingest") return answer(response, 404, {});
  const { code, channel } = await body(request);
  (channel ? io.to(channel) : io).emit("code", { code });
  answer(response, 200, { status: "success" });
});
const io = require(process.argv[2])(http, {
  ...(process.argv[3] === "recovery" && { connectionStateRecovery: {} }),
});
const raw = io.engine || io.eio;
raw.on("connection", (socket) => {
  socket.on("packetCreate", ({ type, data }) => {
    if (type === "message") count(data);
  });
});
io.use((socket, next) => {
  const known = socket.handshake.query.username !== "stranger";
  next(known ? undefined : new Error("this user is unknown"));
});
io.on("connection", (socket) => {
  socket.on("join", ({ room }, acknowledge) => {
    socket.join(room);
    if (acknowledge) acknowledge({ joined: room });
  });
});
start(http);
