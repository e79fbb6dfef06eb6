// Events whose payload is JSON inside a text, after a mutation in the style of GraphQL.
"use strict";

const http = require("http");
const { WebSocketServer } = require("ws");

let number = 0;
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const { operationName, variables } = JSON.parse(text);
    if (operationName !== "AddNote") {
      return response.writeHead(200).end('{"errors":[{"message":"unknown operation"}]}');
    }
    number += 1;
    const payload = JSON.stringify({ note: { id: number, fields: [{ name: "body", value: variables.input.body }] } });
    for (const client of sockets.clients) {
      client.send(JSON.stringify({ kind: "evt", stream: "notes", seq: number, payload }));
    }
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ data: { addNote: { id: number } } }));
  });
});
const sockets = new WebSocketServer({ server, path: "/socket", handleProtocols: () => "notes.v1" });

sockets.on("connection", (client) => {
  client.on("message", (data) => {
    const message = JSON.parse(data);
    if (message.kind === "init") client.send(JSON.stringify({ kind: "ack", payload: "{}" }));
    if (message.kind === "ping") client.send(JSON.stringify({ kind: "pong" }));
  });
});

server.listen(Number(process.env.PORT), "127.0.0.1");
