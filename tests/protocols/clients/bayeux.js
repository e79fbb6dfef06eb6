// Faye's client, which goes over from long polling to WebSocket.
"use strict";

const faye = require("faye");
const { given, play, receive } = require("./common");

const client = () => new faye.Client(new URL("/faye", given.url).href);
const publisher = client();

play(
  Array.from({ length: given.connections }, () =>
    client().subscribe("/codes", ({ code }) => receive(code)),
  ),
  (code) => publisher.publish("/codes", { code }),
);
