// @stomp/stompjs, the usual client of STOMP in browsers, over sockjs-client. Codes are handed in by
// a SEND frame of a client of its own.
"use strict";

const { Client } = require("@stomp/stompjs");
const SockJS = require("sockjs-client");
const { given, play, receive } = require("./common");

const client = () =>
  new Client({
    webSocketFactory: () => new SockJS(new URL("/sockjs", given.url).href),
    connectHeaders: { login: "guest", passcode: "guest" },
    heartbeatIncoming: 1000,
    heartbeatOutgoing: 500,
    reconnectDelay: 0,
  });

const connected = (one) =>
  new Promise((resolve, reject) => {
    one.onConnect = resolve;
    one.onStompError = ({ headers }) => reject(new Error(headers.message));
    one.activate();
  });

const subscribed = async () => {
  const one = client();
  await connected(one);
  await new Promise((resolve) => {
    // A simple broker sends no receipt.
    if (given.simple) setTimeout(resolve, 300);
    else one.watchForReceipt("subscribed", resolve);
    const headers = given.simple ? {} : { receipt: "subscribed" };
    one.subscribe("/topic/codes", ({ body }) => receive(JSON.parse(body).code), headers);
  });
};

const publisher = client();
const published = async (code) => {
  publisher.publish({ destination: "/topic/codes", body: JSON.stringify({ code }) });
};

play(
  [connected(publisher), ...Array.from({ length: given.connections }, subscribed)],
  published,
);
