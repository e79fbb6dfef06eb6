// Servers for a browser and sseload side by side, on Node, one on a port of its own for each case.
//
// Event streams, at /stream:
//   flushed     compressed with gzip; the compressor is flushed after each event
//   unflushed   compressed with gzip; the compressor is never flushed
//   redirected  /stream has moved to /moved/stream: status 307 and a relative Location
//   gone        ends after two codes; a client that comes back gets status 204
//   resumed     ends after two codes; a client that comes back gets what it has missed
// WebSockets, at /ws:
//   deflated    with permessage-deflate
//   unrequested selects a subprotocol that the client did not offer
//   moved       /ws has moved to /moved/ws: status 307 and a relative Location
//
// A client gives its name in the query. What is posted to /codes goes to all clients. /truth
// tells what each client requested and was sent. The program writes the ports to its output, as
// a JSON object.
"use strict";

const { createServer } = require("http");
const zlib = require("zlib");
const { WebSocketServer } = require("ws");

const STREAMS = ["flushed", "unflushed", "redirected", "gone", "resumed"];
const WEBSOCKETS = ["deflated", "unrequested", "moved"];
const CODES_PER_STREAM = 2;

function newTruth() {
  return { requests: 0, redirected: 0, opened: 0, refused: 0, sent: 0, resumed: [], negotiated: [] };
}

// What all servers have in common: the page, the codes, and the account of each client.
function serve(truth, history, broadcast, onStream) {
  return createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://any");
    if (pathname === "/page") {
      response.writeHead(200, { "Content-Type": "text/html" }).end("<title>A client</title>");
    } else if (pathname === "/truth") {
      response.end(JSON.stringify(Object.fromEntries(truth)));
    } else if (request.method === "POST") {
      let text = "";
      request.on("data", (piece) => (text += piece));
      request.on("end", () => {
        history.push(JSON.parse(text).code);
        broadcast(history.length);
        response.end();
      });
    } else if (onStream && pathname.endsWith("/stream")) {
      onStream(request, response, account(truth, searchParams));
    } else {
      response.writeHead(404).end();
    }
  });
}

function account(truth, searchParams) {
  const name = searchParams.get("client");
  if (!truth.has(name)) truth.set(name, newTruth());
  return truth.get(name);
}

function eventStreams(kind) {
  const truth = new Map();
  const history = [];
  const streams = new Set();

  function write(stream, number) {
    stream.out.write(`id: ${number}\ndata: ${JSON.stringify({ code: history[number - 1] })}\n\n`);
    if (kind === "flushed") stream.out.flush();
    stream.counts.sent += 1;
    stream.left -= 1;
    if (stream.left === 0) {
      streams.delete(stream);
      stream.out.end();
    }
  }

  function open(request, response, counts) {
    counts.requests += 1;
    if (kind === "redirected" && request.url.startsWith("/stream")) {
      counts.redirected += 1;
      response.writeHead(307, { Location: `moved${request.url}` }).end();
      return;
    }
    const resumed = request.headers["last-event-id"];
    if (resumed) counts.resumed.push(resumed);
    if (resumed && kind === "gone") {
      counts.refused += 1;
      response.writeHead(204).end();
      return;
    }
    counts.opened += 1;
    const ends = (kind === "gone" || kind === "resumed") && !resumed;
    const stream = { out: response, counts, left: ends ? CODES_PER_STREAM : Infinity };
    const headers = { "Content-Type": "text/event-stream" };
    if (kind.endsWith("flushed")) {
      response.writeHead(200, { ...headers, "Content-Encoding": "gzip" });
      stream.out = zlib.createGzip();
      stream.out.pipe(response);
    } else {
      response.writeHead(200, headers);
    }
    response.flushHeaders();
    if (ends) stream.out.write("retry: 200\n\n");
    streams.add(stream);
    request.on("close", () => streams.delete(stream));
    for (let number = Number(resumed) + 1; number <= history.length; number += 1) {
      write(stream, number);
    }
  }

  const broadcast = (number) => streams.forEach((stream) => write(stream, number));
  return serve(truth, history, broadcast, open);
}

function webSockets(kind) {
  const truth = new Map();
  const history = [];
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: kind === "deflated" && { threshold: 0 },
  });
  if (kind === "unrequested") {
    sockets.on("headers", (headers) => headers.push("Sec-WebSocket-Protocol: unrequested"));
  }
  const http = serve(truth, history, (number) => {
    for (const client of sockets.clients) {
      client.send(JSON.stringify({ code: history[number - 1] }));
      client.counts.sent += 1;
    }
  });
  http.on("upgrade", (request, socket, head) => {
    const { pathname, searchParams } = new URL(request.url, "http://any");
    const counts = account(truth, searchParams);
    counts.requests += 1;
    if (kind === "moved" && pathname === "/ws") {
      counts.redirected += 1;
      const head = `HTTP/1.1 307 Temporary Redirect\r\nLocation: moved${request.url}\r\n`;
      socket.end(`${head}Content-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      counts.opened += 1;
      counts.negotiated.push(client.extensions);
      client.counts = counts;
      client.on("error", () => {}); // a client that refuses the handshake's answer
    });
  });
  return http;
}

const cases = [
  ...STREAMS.map((kind) => [kind, eventStreams(kind)]),
  ...WEBSOCKETS.map((kind) => [kind, webSockets(kind)]),
];
const ports = {};
for (const [kind, server] of cases) {
  server.listen(0, "127.0.0.1", () => {
    ports[kind] = server.address().port;
    if (Object.keys(ports).length === cases.length) console.log(JSON.stringify(ports));
  });
}
