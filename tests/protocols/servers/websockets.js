// Accepts the WebSocket connections of a test's server.
"use strict";

const { WebSocketServer } = require("ws");

/**
 * Give each connection at a path that exists to a function; others are answered with HTTP 404.
 *
 * @param http the HTTP server.
 * @param exists whether there is a path, given the URL and the request.
 * @param onClient called with the connection and the URL.
 * @param options those of `ws`.
 */
exports.accept = (http, exists, onClient, options = {}) => {
  const sockets = new WebSocketServer({ noServer: true, ...options });
  http.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url, "http://localhost");
    socket.on("error", () => socket.destroy());
    if (!exists(url, request)) {
      const end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
      socket.end(`HTTP/1.1 404 Not Found\r\n${end}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on("error", () => client.terminate());
      onClient(client, url);
    });
  });
};
