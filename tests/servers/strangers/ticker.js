// A ticker on Node's ws: clients name the symbols that they want; news about them are posted.
"use strict";

const http = require("http");
const { WebSocketServer } = require("ws");

const server = http.createServer((request, response) => {
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    if (request.method !== "POST" || request.url !== "/v1/news") {
      return response.writeHead(404).end();
    }
    if (request.headers["x-api-key"] !== "k-3141592653") {
      return response.writeHead(401).end('{"error":"bad api key"}');
    }
    const news = JSON.parse(text);
    for (const client of sockets.clients) {
      if (client.symbols?.has(news.symbol)) {
        client.send(JSON.stringify({ t: "news", s: news.symbol, d: { h: news.headline, ts: Date.now() } }));
      }
    }
    response.writeHead(202, { "Content-Type": "application/json" }).end('{"queued":true}');
  });
});
const sockets = new WebSocketServer({ server, path: "/feed" });

sockets.on("connection", (client) => {
  client.symbols = new Set();
  client.on("message", (data) => {
    const request = JSON.parse(data);
    if (request.action === "subscribe") {
      for (const symbol of request.symbols) client.symbols.add(symbol);
      client.send(JSON.stringify({ t: "subscribed", symbols: [...client.symbols] }));
    } else {
      client.send(JSON.stringify({ t: "error", reason: "unknown action" }));
    }
  });
});

setInterval(() => {
  for (const client of sockets.clients) client.send(JSON.stringify({ t: "hb", ts: Date.now() }));
}, 700);

server.listen(Number(process.env.PORT), "127.0.0.1");
