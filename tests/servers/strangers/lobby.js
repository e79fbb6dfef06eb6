// Rooms on Socket.IO: a client joins one, and gets what is said there.
"use strict";

const http = require("http");
const { Server } = require("socket.io");

const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const room = /^\/rooms\/(\w+)\/say$/.exec(request.url);
    if (!room) return response.writeHead(404).end();
    const { from, body } = JSON.parse(text);
    io.to(room[1]).emit("chat message", { room: room[1], from, body, at: new Date().toISOString() });
    response.writeHead(204).end();
  });
});
const io = new Server(server);

io.on("connection", (socket) => {
  socket.on("join", (room) => {
    socket.join(room);
    socket.emit("joined", { room });
  });
});

server.listen(Number(process.env.PORT), "127.0.0.1");
