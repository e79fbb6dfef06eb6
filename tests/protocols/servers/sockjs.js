// sockjs-node: sockjs.js [stomp | simple].
//
// At /sockjs, everybody is sent what is posted to /api/ingest, as a JSON text with a code; the user
// "stranger" is refused. With "stomp" or "simple", it serves STOMP 1.2 there instead, see stomp.js.
"use strict";

const { createServer } = require("http");
const sockjs = require("sockjs");
const { answer, body, count, start } = require("./common");
const { Broker } = require("./stomp");

const connections = new Set();
const broker = process.argv[2] && new Broker(process.argv[2] === "simple");
const http = createServer(async (request, response) => {
  if (request.method !== "POST" || request.url !== "/api/ingest") return answer(response, 404, {});
  const { code, channel } = await body(request);
  if (broker) {
    broker.publish(`/topic/${channel}`, JSON.stringify({ code }));
  } else {
    const message = JSON.stringify({ code });
    for (const connection of connections) {
      count(message);
      connection.write(message);
    }
  }
  answer(response, 200, { status: "success" });
});
const echo = sockjs.createServer({ prefix: "/sockjs", log: () => {} });
echo.on("connection", (connection) => {
  if (broker) {
    const session = broker.accept(
      (frame) => connection.write(frame),
      () => connection.close(1002, "STOMP session ended"),
    );
    connection.on("data", (data) => session.receive(data));
    connection.on("close", () => session.end());
  } else if (String(connection.url).includes("username=stranger")) {
    connection.close(4001, "this user is unknown");
  } else {
    connections.add(connection);
    connection.on("close", () => connections.delete(connection));
  }
});
echo.installHandlers(http);
start(http);
