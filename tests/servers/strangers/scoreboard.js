// A scoreboard on Node's ws: lines of a text protocol with JSON behind a word, and PING and PONG.
"use strict";

const http = require("http");
const { WebSocketServer } = require("ws");

const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (request.method !== "POST" || pathname !== "/admin/say") return response.writeHead(404).end();
    if (searchParams.get("match") !== "fin-ger") return response.writeHead(422).end("which match?");
    for (const client of sockets.clients) {
      client.send(`SAY ${JSON.stringify({ at: Date.now(), line: new URLSearchParams(text).get("line") })}`);
    }
    response.writeHead(303, { location: "/admin" }).end();
  });
});
const sockets = new WebSocketServer({
  server, path: "/scores",
  verifyClient: ({ origin }) => origin === undefined || origin === `http://${server.host}`,
});
server.host = `127.0.0.1:${process.env.PORT}`;
sockets.on("connection", (socket) => {
  socket.send(`SCORE ${JSON.stringify({ home: 2, away: 1 })}`);
  const timer = setInterval(() => {
    if (!socket.answered && socket.asked) return socket.terminate();
    [socket.asked, socket.answered] = [true, false];
    socket.send("PING");
  }, 900);
  socket.on("message", (text) => {
    if (String(text) === "PONG") socket.answered = true;
  });
  socket.on("close", () => clearInterval(timer));
});
server.listen(Number(process.env.PORT), "127.0.0.1");
