// GraphQL subscriptions: graphql.js PROTOCOL [DELAY].
//
// PROTOCOL is graphql-ws, subscriptions-transport-ws or graphql-sse, the package that serves them.
// The token "stranger" is refused, and so is the channel "nosuch". A subscription takes effect after
// DELAY ms. The mutation comes by POST to /graphql, or over a subscriber's connection.
"use strict";

const { createServer } = require("http");
const graphql = require("graphql");
const { answer, body, count, start } = require("./common");

const [protocol, delay] = [process.argv[2], Number(process.argv[3] || 0)];
const schema = graphql.buildSchema(`
  type Code { code: String! padding: String }
  type Query { ready: Boolean }
  type Mutation { broadcastCode(code: String!, channel: String, padding: String): Boolean }
  type Subscription { newCode(channel: String): Code }
`);
const listeners = new Map();

/** An endless stream of what is published to a channel. */
function subscribe(channel) {
  const waiting = [];
  let wake = null;
  const listener = (value) => {
    waiting.push(value);
    if (wake) wake();
  };
  if (!listeners.has(channel)) listeners.set(channel, new Set());
  listeners.get(channel).add(listener);
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      while (!waiting.length) await new Promise((resolve) => (wake = resolve));
      return { value: waiting.shift(), done: false };
    },
    async return() {
      listeners.get(channel).delete(listener);
      return { value: undefined, done: true };
    },
  };
}

const root = {
  broadcastCode({ code, channel, padding }) {
    for (const listener of listeners.get(channel || "codes") || []) {
      listener({ newCode: { code, padding } });
    }
    return true;
  },
  async newCode({ channel }) {
    if (channel === "nosuch") throw new Error(`there is no channel ${channel}`);
    if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
    return subscribe(channel || "codes");
  },
};

const http = createServer(async (request, response) => {
  if (request.url !== "/graphql") return answer(response, 404, { error: "not here" });
  if (protocol === "graphql-sse" && String(request.headers.accept).includes("event-stream")) {
    if (request.headers.authorization === "Bearer stranger") {
      return answer(response, 401, { error: "this token is unknown" });
    }
    const write = response.write;
    response.write = function (text, ...more) {
      count(text);
      return write.call(this, text, ...more);
    };
    return events(request, response);
  }
  const { query, variables } = await body(request);
  answer(response, 200, await graphql.graphql({ schema, source: query, rootValue: root, variableValues: variables }));
});
const events =
  protocol === "graphql-sse" &&
  require("graphql-sse/lib/use/http").createHandler({ schema, context: {}, rootValue: root, onSubscribe: (_, params) => ({
    schema, rootValue: root, document: graphql.parse(params.query), variableValues: params.variables,
  }) });

/** Count what is sent over WebSocket. */
function counting(server) {
  server.on("connection", (socket) => {
    const send = socket.send;
    socket.send = function (text, ...more) {
      count(text);
      return send.call(this, text, ...more);
    };
  });
  return server;
}

const isStranger = (parameters) => parameters && parameters.token === "stranger";

if (protocol === "graphql-ws") {
  const { WebSocketServer } = require("ws");
  const { useServer } = require("graphql-ws/use/ws");
  useServer(
    { schema, roots: { subscription: root, mutation: root }, onConnect: ({ connectionParams }) => !isStranger(connectionParams) },
    counting(new WebSocketServer({ server: http, path: "/graphql" })),
  );
} else if (protocol === "subscriptions-transport-ws") {
  const { SubscriptionServer } = require("subscriptions-transport-ws");
  const served = SubscriptionServer.create(
    { schema, execute: graphql.execute, subscribe: graphql.subscribe, rootValue: root, onConnect(parameters) {
        if (isStranger(parameters)) throw new Error("this token is unknown");
      },
      keepAlive: 5000 },
    { server: http, path: "/graphql" },
  );
  const sockets = served.server;
  const handlers = sockets.listeners("connection");
  sockets.removeAllListeners("connection");
  counting(sockets);
  for (const handler of handlers) sockets.on("connection", handler);
}
start(http);
