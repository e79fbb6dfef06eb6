// sockjs-client, the official client.
"use strict";

const SockJS = require("sockjs-client");
const { given, play, post, receive } = require("./common");

play(
  Array.from({ length: given.connections }, () => {
    const socket = new SockJS(new URL("/sockjs", given.url).href, null, { transports: "websocket" });
    socket.onmessage = ({ data }) => receive(JSON.parse(data).code);
    return new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = reject;
    });
  }),
  (code) => post("/api/ingest", { code }),
);
