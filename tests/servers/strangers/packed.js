// Positions over WebSocket in a binary format of its own, as protobuf would lay it out.
"use strict";

const http = require("http");
const { WebSocketServer } = require("ws");

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

function field(number, text) {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

let number = 0;
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const { vehicle, status } = JSON.parse(text);
    number += 1;
    const inner = Buffer.concat([Buffer.from([8]), varint(number), field(2, vehicle), field(3, status)]);
    const message = Buffer.concat([Buffer.from([8, 4, 18]), varint(inner.length), inner]);
    for (const client of sockets.clients) client.send(message, { binary: true });
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"ok":true}');
  });
});
const sockets = new WebSocketServer({ server, path: "/positions" });

sockets.on("connection", (client) => client.send(Buffer.from([8, 1]), { binary: true }));

server.listen(Number(process.env.PORT), "127.0.0.1");
