// The official clients of GraphQL subscriptions; `module` is graphql-ws, subscriptions-transport-ws
// or graphql-sse.
"use strict";

const { given, play, post, receive } = require("./common");

const url = new URL("/graphql", given.url).href;
const socketUrl = url.replace("http", "ws");
const query = "subscription { newCode { code } }";
const take = ({ data }) => receive(data.newCode.code);
const fail = (error) => {
  throw error instanceof Error ? error : new Error(JSON.stringify(error));
};
const mutation = "mutation ($code: String!) { broadcastCode(code: $code) }";
const publish = (code) => post("/graphql", { query: mutation, variables: { code } });
/** The protocols do not confirm subscriptions. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 500));

/** Subscribe by a client; return a promise that settles when that has its effect. */
const subscribe = {
  "graphql-ws": ({ createClient }) =>
    new Promise((resolve) => {
      const client = createClient({
        url: socketUrl,
        webSocketImpl: require("ws"),
        lazy: false,
        on: { connected: () => soon().then(resolve) },
      });
      client.subscribe({ query }, { next: take, error: fail, complete() {} });
    }),
  "subscriptions-transport-ws": ({ SubscriptionClient }) =>
    new Promise((resolve) => {
      const client = new SubscriptionClient(socketUrl, {}, require("ws"));
      client.onConnected(() => soon().then(resolve));
      client.request({ query }).subscribe({ next: take, error: fail });
    }),
  "graphql-sse": ({ createClient }) =>
    new Promise((resolve) => {
      createClient({ url }).subscribe({ query }, { next: take, error: fail, complete() {} });
      soon().then(resolve);
    }),
};

play(
  Array.from({ length: given.connections }, () => subscribe[given.module](require(given.module))),
  publish,
);
