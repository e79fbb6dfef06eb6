// What the official clients of the tests have in common. A client's command line has one argument,
// a JSON object: `url` of the server, `connections`, `codes`, and what its protocol needs beside.
"use strict";

const given = JSON.parse(process.argv[2]);
const received = {};
let copies = 0;

exports.given = given;

/** Count a code that one connection has received. */
exports.receive = (code) => {
  received[code] = (received[code] || 0) + 1;
  copies += 1;
};

/** Hand in all codes once all connections are subscribed, and write how many copies came of each. */
exports.play = async (subscriptions, publish) => {
  await Promise.all(subscriptions);
  for (let number = 1; number <= given.codes; number++) {
    await publish(`LT-client-${number}-${Date.now().toString(36)}`);
  }
  const deadline = Date.now() + 20000;
  while (copies < given.connections * given.codes && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  // Whatever comes twice comes now.
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.stdout.write(`${JSON.stringify(received)}\n`, () => process.exit());
};

/** Post JSON to a path of the server. */
exports.post = async (path, value) => {
  const response = await fetch(new URL(path, given.url), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status} ${await response.text()}`);
};
