// centrifuge, the official client.
"use strict";

const { Centrifuge } = require("centrifuge");
const WebSocket = require("ws");
const { given, play, receive } = require("./common");

const getToken = async () => {
  const response = await fetch(`${given.url}/token`, { method: "POST" });
  return (await response.json()).token;
};
const url = `${given.url.replace("http", "ws")}/connection/websocket`;
const subscriptions = Array.from({ length: given.connections }, () => {
  const client = new Centrifuge(url, { websocket: WebSocket, getToken });
  const subscription = client.newSubscription("codes");
  subscription.on("publication", ({ data }) => receive(data.code));
  subscription.subscribe();
  client.connect();
  return subscription;
});
play(
  subscriptions.map((each) => each.ready(10000)),
  (code) => subscriptions[0].publish({ code }),
);
