// Event streams at /live over HTTP/2; a POST to /publish by HTTP/1.1 broadcasts. /record tells what
// each stream of each connection was sent.
"use strict";
const fs = require("fs");
const http2 = require("http2");

const [certificate, resetEvery] = process.argv.slice(2);
const pem = fs.readFileSync(certificate);
const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: true });
const streams = new Map(); // by stream: { session, sent }
const record = { sessions: 0, streams: [], codes: 0 };

server.on("session", (session) => {
  session.number = record.sessions++;
  session.on("error", () => {});
});

server.on("request", (request, response) => {
  if (request.httpVersionMajor === 2 && request.url.startsWith("/live")) {
    const entry = { session: request.stream.session.number, sent: [], reset: false };
    record.streams.push(entry);
    streams.set(request.stream, entry);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"type":"connected"}\n\n');
    request.stream.on("error", () => {});
    request.stream.on("close", () => streams.delete(request.stream));
    return;
  }
  let body = "";
  request.on("data", (data) => (body += data));
  request.on("end", () => {
    if (request.url === "/publish") broadcast(body);
    response.writeHead(200, { "content-type": "application/json" });
    response.end(request.url === "/record" ? JSON.stringify(record) : "{}");
  });
});

function broadcast(body) {
  record.codes++;
  let index = 0;
  for (const [stream, entry] of streams) {
    // Each code is kept from one stream, which it resets.
    if (Number(resetEvery) && index++ === 0 && record.codes % Number(resetEvery) === 0) {
      entry.reset = true;
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      continue;
    }
    stream.write(`data: ${body}\n\n`);
    entry.sent.push(JSON.parse(body).code);
  }
}

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
