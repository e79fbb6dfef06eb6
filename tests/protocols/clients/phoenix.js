// The client of Phoenix.
"use strict";

const { given, play, post, receive } = require("./common");
const { Socket } = require("phoenix");

const url = `${given.url.replace("http", "ws")}/socket`;

const joining = Array.from({ length: given.connections }, () => {
  const socket = new Socket(url, { transport: require("ws") });
  socket.connect();
  const channel = socket.channel("room:lobby");
  channel.on("new_code", ({ code }) => receive(code));
  return new Promise((resolve, reject) => {
    channel.join().receive("ok", resolve).receive("error", reject);
  });
});
play(joining, (code) => post("/api/ingest", { topic: "room:lobby", code }));
