// Socket.IO's reference implementation, as a program:
// socketio_node.js PING_MS TIMEOUT_MS [MODULE [PARSER | recovery]].
//
// MODULE is socket.io (the default) or socket.io2, its version 2, where the token comes with the
// query. It speaks what socketio_python.py speaks. In the namespace /events it wants `auth` with the
// token "t"; a client without it is refused. `start` has it send codes of all shapes to the
// client that asks, then disconnect it; `ask` has it send two that request an acknowledgement and
// write a line for each that comes; `broadcast` has it send a code to all. What is posted to
// /api/ingest it sends as an event `code` to all in the default namespace. It writes its port,
// then a line for each client that it misses, to its output.
"use strict";

const { createServer } = require("http");

const serve = require(process.argv[4] || "socket.io");
const recovers = process.argv[5] === "recovery";
const parser = process.argv[5] && !recovers && require(process.argv[5]);

const http = createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/api/ingest") {
    response.writeHead(404).end();
    return;
  }
  let text = "";
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    io.emit("code", { code: JSON.parse(text).code });
    response.writeHead(200, { "Content-Type": "application/json" }).end('{"status":"success"}');
  });
});
const io = serve(http, {
  pingInterval: Number(process.argv[2]),
  pingTimeout: Number(process.argv[3]),
  ...(recovers && { connectionStateRecovery: {} }),
  ...(parser && { parser }),
});
const events = io.of("/events");

events.use((socket, next) => {
  const known = (socket.handshake.auth || socket.handshake.query).token === "t";
  next(known ? undefined : new Error("Unauthorized or unknown username"));
});

events.on("connection", (socket) => {
  socket.emit("connected", { message: `username=${socket.handshake.query.username}` });
  socket.on("start", () => {
    socket.emit("new_code", { code: "text é" });
    socket.emit("new_code", { code: "with bytes", of: [Buffer.from("42/events,["), Buffer.alloc(0)] });
    socket.emit("new_code", { code: "to acknowledge" }, () => {});
    socket.emit("new_code", Buffer.from("only bytes"));
    socket.emit("new_code", "with bytes, to acknowledge", () => {});
    socket.disconnect();
  });
  socket.on("ask", () => {
    socket.emit("new_code", { code: "asks" }, () => console.log("acknowledged"));
    socket.emit("new_code", Buffer.from("asks"), () => console.log("acknowledged"));
  });
  socket.on("broadcast", (code) => {
    events.emit("new_code", { code });
    io.of("/").emit("new_code", { code: "in the other namespace" });
  });
  socket.on("disconnect", (reason) => console.log(`gone: ${reason}`));
});

http.listen(0, "127.0.0.1", () => console.log(http.address().port));
