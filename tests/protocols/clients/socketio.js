// socket.io-client, the official client; `module` is its name.
"use strict";

const { given, play, post, receive } = require("./common");
const io = require(given.module);

const sockets = Array.from({ length: given.connections }, () =>
  io(given.url, { forceNew: true, query: { username: "ann" } }),
);
play(
  sockets.map((socket) => {
    socket.on("code", ({ code }) => receive(code));
    return new Promise((resolve, reject) => {
      socket.on("connect", resolve);
      socket.on("connect_error", reject);
    });
  }),
  (code) => post("/api/ingest", { code }),
);
