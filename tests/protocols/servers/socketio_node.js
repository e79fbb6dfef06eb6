// A node of Socket.IO that shares its broadcasts by Redis: socketio_node.js REDIS_URL.
//
// What is posted to /api/ingest goes out as an event `code` to everybody. POST /cut takes the
// connections to Redis away, as a failed network does; the node goes on without them.
"use strict";

const { createServer } = require("http");
const { createAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");
const { Server } = require("socket.io");
const { answer, body, count, start } = require("./common");

const quiet = { socket: { reconnectStrategy: false }, disableOfflineQueue: true };
const clients = [0, 1].map(() => createClient({ url: process.argv[2], ...quiet }));
for (const client of clients) client.on("error", () => {});

const http = createServer(async (request, response) => {
  if (request.method !== "POST") return answer(response, 404, {});
  if (request.url === "/cut") {
    for (const client of clients) client.destroy();
  } else {
    const { code } = await body(request);
    io.emit("code", { code });
  }
  answer(response, 200, { status: "success" });
});
process.on("unhandledRejection", () => {}); // of publishing without Redis
let io;
Promise.all(clients.map((client) => client.connect())).then(() => {
  io = new Server(http, { adapter: createAdapter(...clients) });
  io.engine.on("connection", (socket) => {
    socket.on("packetCreate", ({ type, data }) => {
      if (type === "message") count(data);
    });
  });
  start(http);
});
