// Faye's server, at /faye. The user "stranger" is refused, and so are channels below /secret. A
// /meta/connect is held for a second, so that clients have to send several.
"use strict";

const { createServer } = require("http");
const faye = require("faye");
const { count, start } = require("./common");

const bayeux = new faye.NodeAdapter({ mount: "/faye", timeout: 1 });
bayeux.addExtension({
  incoming(message, done) {
    if (message.channel === "/meta/handshake" && (message.ext || {}).username === "stranger") {
      message.error = "403::this user is unknown";
    }
    if (message.channel === "/meta/subscribe" && message.subscription.startsWith("/secret")) {
      message.error = `403:${message.subscription}:this channel is closed`;
    }
    done(message);
  },
  outgoing(message, done) {
    if (message.data) count(message.data.code);
    done(message);
  },
});
const http = createServer((request, response) => response.writeHead(404).end());
bayeux.attach(http);
http.on("upgrade", (request, socket) => {
  if (!request.url.startsWith("/faye")) socket.end("HTTP/1.1 404 Not Found\r\n\r\n");
});
start(http);
