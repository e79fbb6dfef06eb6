// pusher-js, the official client, and pusher, the official library for publishing.
"use strict";

const Pusher = require("pusher");
const PusherClient = require("pusher-js");
const { given, play, receive } = require("./common");

const { port } = new URL(given.url);
const options = {
  cluster: "",
  wsHost: "127.0.0.1",
  wsPort: port,
  forceTLS: false,
  enabledTransports: ["ws"],
  channelAuthorization: {
    endpoint: `${given.url}/broadcasting/auth`,
    headers: { Authorization: "Bearer user-token" },
  },
};
const app = { appId: "app-id", key: "app-key", secret: "app-secret" };
const publisher = new Pusher({ ...app, host: "127.0.0.1", port, useTLS: false });

const subscribe = () =>
  new Promise((resolve, reject) => {
    const client = new PusherClient(app.key, options);
    const subscription = client.subscribe(given.channel);
    subscription.bind("new_code", ({ code }) => receive(code));
    subscription.bind("pusher:subscription_succeeded", resolve);
    subscription.bind("pusher:subscription_error", reject);
    client.connection.bind("error", reject);
  });
play(
  Array.from({ length: given.connections }, subscribe),
  (code) => publisher.trigger(given.channel, "new_code", { code }),
);
