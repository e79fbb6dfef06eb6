// @microsoft/signalr, the official client, with stateful reconnect.
"use strict";

const signalR = require("@microsoft/signalr");
const { given, play, receive } = require("./common");

const connections = Array.from({ length: given.connections }, () => {
  const connection = new signalR.HubConnectionBuilder()
    .withUrl(`${given.url}/hub`, { accessTokenFactory: () => "user-token" })
    .withStatefulReconnect()
    .configureLogging(signalR.LogLevel.None)
    .build();
  connection.on("newCode", ({ code }) => receive(code));
  return connection;
});
play(
  connections.map((each) => each.start()),
  (code) => connections[0].invoke("Broadcast", code),
);
