// Lessons on Socket.IO: a namespace with a token, a room by handshake, and events of two arguments.
"use strict";

const http = require("http");
const { Server } = require("socket.io");

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/socket.io/")) return;
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const { lesson, slide } = JSON.parse(text);
    lessons.to(`lesson:${lesson}`).emit("slide", { lesson, at: Date.now() }, { notes: [slide.note] });
    response.writeHead(200, { "content-type": "application/json" }).end('{"shown":true}');
  });
});
const lessons = new Server(server, { connectionStateRecovery: {} }).of("/lessons");
lessons.use((socket, next) =>
  next(socket.handshake.auth.token === "t-2718281828" ? undefined : new Error("not enrolled")));
lessons.on("connection", (socket) => {
  socket.on("attend", (lesson, acknowledge) => {
    socket.join(`lesson:${lesson}`);
    if (acknowledge) acknowledge({ attending: lesson });
  });
});
server.listen(Number(process.env.PORT), "127.0.0.1");
