// Socket.IO's own client, as a program: socketio_client.js URL COUNT TRANSPORTS.
//
// It connects COUNT times at once, each time as TRANSPORTS (separated by commas) says, and writes
// how many were connected, how many of them by WebSocket in the end, and the first error.
"use strict";

const { io } = require("socket.io-client");

const [url, count, transports] = process.argv.slice(2);
let connected = 0, upgraded = 0, left = Number(count), error = "";

function settle(socket) {
  socket.io.engine?.close();
  if (--left === 0) {
    console.log(JSON.stringify({ connected, upgraded, error }));
    process.exit();
  }
}

for (let i = 0; i < Number(count); i++) {
  const socket = io(`${url}/events`, {
    auth: { token: "t" },
    forceNew: true,
    reconnection: false,
    transports: transports.split(","),
    withCredentials: true, // keeps cookies, as a browser does
  });
  let settled = false;
  const once = () => {
    if (!settled) {
      settled = true;
      settle(socket);
    }
  };
  socket.on("connect", () => {
    connected++;
    const engine = socket.io.engine;
    const over = () => {
      upgraded++;
      once();
    };
    if (engine.transport.name === "websocket") over();
    else engine.on("upgrade", over);
    setTimeout(once, 1500);
  });
  socket.on("connect_error", (reason) => {
    error ||= String(reason.context?.responseText || reason.message);
    once();
  });
  socket.on("disconnect", once);
}
