// A server with the Node package ws that sends codes to the members of a room over WebSocket.
// Run it by `node ws_app.js 8000`.
"use strict";

const { createServer } = require("http");
const { WebSocket, WebSocketServer } = require("ws");

const rooms = new Map();
const members = (room) => rooms.get(room) || rooms.set(room, new Set()).get(room);

const server = createServer(async (request, response) => {
  const [, room] = request.url.match(/^\/rooms\/(\w+)\/messages$/) || [];
  if (request.method !== "POST" || !room) return response.writeHead(404).end();
  let text = "";
  for await (const piece of request) text += piece;
  const message = JSON.stringify({ type: "message", ...JSON.parse(text) });
  for (const each of members(room)) {
    if (each.readyState === WebSocket.OPEN) each.send(message);
  }
  response.writeHead(202, { "Content-Type": "application/json" }).end('{"sent":true}');
});

const sockets = new WebSocketServer({ noServer: true });
const refuse = (socket, status) => socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);

server.on("upgrade", (request, socket, head) => {
  const url = new URL(request.url, "http://localhost");
  const [, room] = url.pathname.match(/^\/ws\/(\w+)$/) || [];
  if (!room) return refuse(socket, "404 Not Found");
  if (url.searchParams.get("token") !== "let-me-in") return refuse(socket, "403 Forbidden");
  sockets.handleUpgrade(request, socket, head, (client) => {
    if (room === "closed") {
      client.send(JSON.stringify({ type: "error", reason: "this room is closed" }));
      return client.close(4003);
    }
    members(room).add(client);
    client.on("close", () => members(room).delete(client));
    client.send(JSON.stringify({ type: "joined", room }));
  });
});

server.listen(Number(process.argv[2]), "127.0.0.1");
