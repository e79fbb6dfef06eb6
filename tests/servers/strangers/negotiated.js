// A hub that tells its clients where to connect: the URL is in the answer, with a token.
"use strict";

const crypto = require("crypto");
const http = require("http");
const { WebSocketServer } = require("ws");

const tokens = new Set();
const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    response.setHeader("Content-Type", "application/json");
    if (request.url === "/negotiate") {
      const token = crypto.randomBytes(24).toString("hex");
      tokens.add(token);
      const url = `ws://${request.headers.host}/client/hubs/main?access_token=${token}`;
      return response.end(JSON.stringify({ url, baseUrl: `ws://${request.headers.host}/client/hubs/main` }));
    }
    if (request.url === "/api/broadcast") {
      for (const client of sockets.clients) {
        client.send(JSON.stringify({ type: "message", from: "server", data: JSON.parse(text) }));
      }
      return response.writeHead(202).end();
    }
    response.writeHead(404).end();
  });
});
const sockets = new WebSocketServer({ noServer: true });

server.on("upgrade", (request, socket, head) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname !== "/client/hubs/main" || !tokens.has(url.searchParams.get("access_token"))) {
    return socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
  }
  sockets.handleUpgrade(request, socket, head, (client) => {
    client.send(JSON.stringify({ type: "system", event: "connected", connectionId: crypto.randomUUID() }));
  });
});

server.listen(Number(process.env.PORT), "127.0.0.1");
