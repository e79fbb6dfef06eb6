// Telemetry as MessagePack over WebSocket: an array of a topic, a time, and records.
"use strict";

const http = require("http");
const { WebSocketServer } = require("ws");

const short = (text) => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([0xd9, bytes.length]), bytes]); // str 8
};

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (piece) => chunks.push(piece));
  request.on("end", () => {
    const found = /^\/devices\/([\w-]+)\/commands$/.exec(request.url);
    if (!found) return response.writeHead(404).end();
    const { command } = JSON.parse(Buffer.concat(chunks));
    const time = Buffer.alloc(9);
    time[0] = 0xcb; // float 64
    time.writeDoubleBE(Date.now() / 1000, 1);
    const record = Buffer.concat([Buffer.from([0x82]), short("dev"), short(found[1]), short("cmd"), short(command.name)]);
    const message = Buffer.concat([Buffer.from([0x93]), short("commands"), time, Buffer.from([0x91]), record]);
    for (const client of sockets.clients) if (client.device === found[1]) client.send(message);
    response.writeHead(202).end();
  });
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket, request) => {
  socket.device = request.url.slice("/telemetry/".length);
  socket.send(Buffer.from([0x91, 0xa2, 0x6f, 0x6b])); // ["ok"]
});
server.listen(Number(process.env.PORT), "127.0.0.1");
