// What the servers of the tests have in common: they write their port, count the codes that they
// send, answer each line on standard input with the counts, and end with standard input.
"use strict";

const CODE = /LT-[0-9a-z]{6}-\d+-[0-9a-z]+/g;

/** Copies of codes that were sent to listeners, by code. */
const sent = new Map();

/** Count the codes in a message that one listener is sent. */
exports.count = (message) => {
  for (const [code] of String(message).matchAll(CODE)) sent.set(code, (sent.get(code) || 0) + 1);
};

/** Listen on any free port of the loopback interface. */
exports.start = (http) => {
  http.listen(0, "127.0.0.1", 1024, () => console.log(http.address().port));
  process.stdin.on("data", (lines) => {
    for (const _ of String(lines).trim().split("\n")) {
      console.log(JSON.stringify(Object.fromEntries(sent)));
    }
  });
  process.stdin.on("end", () => process.exit());
};

/** Return the body of a request as text. */
exports.text = async (request) => {
  let text = "";
  for await (const piece of request) text += piece;
  return text;
};

/** Return the body of a request, parsed as JSON. */
exports.body = async (request) => JSON.parse(await exports.text(request));

/** Answer a request with JSON. */
exports.answer = (response, status, value) => {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
};
