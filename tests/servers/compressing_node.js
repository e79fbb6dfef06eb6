// Servers that compress, on Node: compressing_node.js OPTIONS, a JSON object.
//
//   deflate   perMessageDeflate of the library ws: false, true, or its options
//   required  refuse WebSocket clients that do not offer permessage-deflate
//   coding    of event streams and answers: gzip, deflate or br, if the client accepts it
//   always    use the coding whether or not the client accepts it
//   flush     flush the compressor after each event; compressing proxies forget that
//   flushGreeting  flush it after the first event
//   padding   bytes beside the code in each message
//   batch     codes that are collected for one message to WebSockets, which is then a list
//   own       number the messages to each client, so that no two copies are alike
//   nested    send the message as a text within another one, as chat servers do
//
// WebSockets connect at /ws, event streams at /stream; what is posted to /api/ingest goes to all
// of them. /truth tells how many messages were sent to them, and their bytes. It writes its port
// to its output.
"use strict";

const { createServer } = require("http");
const zlib = require("zlib");
const { WebSocketServer } = require("ws");

const options = { deflate: false, flush: true, padding: 0, batch: 1, ...JSON.parse(process.argv[2]) };
const COMPRESSORS = {
  gzip: () => zlib.createGzip(),
  deflate: () => zlib.createDeflate(),
  br: () => zlib.createBrotliCompress(),
};
const CONNECTED = JSON.stringify({ type: "connected" });
const streams = new Set();
const collected = [];
let numbers = 1;
const truth = { messages: 0, bytes: 0, refused: 0 };

function body(request, response, headers) {
  const accepted = (request.headers["accept-encoding"] || "").split(/[\s,]+/);
  if (!options.coding || !(options.always || accepted.includes(options.coding))) {
    response.writeHead(200, headers);
    return response;
  }
  response.writeHead(200, { ...headers, "Content-Encoding": options.coding });
  const compressor = COMPRESSORS[options.coding]();
  compressor.pipe(response);
  return compressor;
}

function count(text) {
  truth.messages += 1;
  truth.bytes += Buffer.byteLength(text);
}

function writeEvent(stream, text) {
  const id = options.own ? `id: ${stream.number}-${++stream.sent}\n` : "";
  const event = `${id}data: ${text}\n\n`;
  count(event);
  stream.write(event);
  const flush = text === CONNECTED ? options.flush || options.flushGreeting : options.flush;
  if (flush && stream.flush) stream.flush();
}

const http = createServer((request, response) => {
  const json = { "Content-Type": "application/json" };
  if (request.url.startsWith("/stream")) {
    const stream = body(request, response, { "Content-Type": "text/event-stream" });
    stream.number = numbers++;
    stream.sent = 0;
    streams.add(stream);
    request.on("close", () => streams.delete(stream));
    response.flushHeaders();
    writeEvent(stream, CONNECTED);
  } else if (request.url === "/truth") {
    response.writeHead(200, json).end(JSON.stringify(truth));
  } else if (request.method === "POST") {
    let text = "";
    request.on("data", (piece) => (text += piece));
    request.on("end", () => {
      const padding = "LT-0123456789 ".repeat(1 + options.padding / 14).slice(0, options.padding);
      collected.push({ code: JSON.parse(text).code, padding });
      if (collected.length < options.batch) {
        body(request, response, json).end('{"status":"success"}');
        return;
      }
      const content = collected.splice(0);
      const plain = JSON.stringify(options.batch > 1 ? content : content[0]);
      const message = options.nested ? JSON.stringify({ event: "posted", data: { post: plain } }) : plain;
      for (const client of sockets.clients) {
        const copy = options.own ? `{"to":${client.number},${message.slice(1)}` : message;
        count(copy);
        client.send(copy);
      }
      for (const stream of streams) writeEvent(stream, message);
      body(request, response, json).end('{"status":"success"}');
    });
  } else {
    body(request, response, json).end('{"status":"healthy"}');
  }
});
const sockets = new WebSocketServer({
  server: http,
  path: "/ws",
  perMessageDeflate: options.deflate,
  verifyClient: ({ req }, done) => {
    const offers = req.headers["sec-websocket-extensions"] || "";
    const refused = options.required && !offers.includes("permessage-deflate");
    if (refused) truth.refused += 1;
    done(!refused, 400, "permessage-deflate is required");
  },
});
sockets.on("connection", (client) => {
  client.number = numbers++;
  count(CONNECTED);
  client.send(CONNECTED);
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
