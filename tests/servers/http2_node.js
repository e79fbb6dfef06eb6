// An event stream over HTTP/2 with TLS and nothing else, or by prior knowledge.
"use strict";
const fs = require("fs");
const http2 = require("http2");

const [certificate] = process.argv.slice(2);
const server = certificate
  ? http2.createSecureServer({ key: fs.readFileSync(certificate), cert: fs.readFileSync(certificate) })
  : http2.createServer();

server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const url = new URL(headers[":path"], "http://any");
  if (url.pathname === "/moved") {
    stream.respond({ ":status": 307, location: `/events${url.search}` });
    stream.end();
    return;
  }
  if (url.pathname !== "/events") {
    const status = Number(url.searchParams.get("status") || 404);
    stream.respond({ ":status": status }, { endStream: status === 204 });
    if (status !== 204) stream.end("no such stream");
    return;
  }
  let asked = "";
  stream.on("data", (data) => (asked += data));
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "text/event-stream" });
    stream.write(`data: ${headers[":method"]} ${asked.length} ${headers["last-event-id"] || ""}\n\n`);
    const count = Number(url.searchParams.get("count") || 0);
    const payload = "x".repeat(Number(url.searchParams.get("size") || 10));
    for (let i = 0; i < count; i++) stream.write(`id: ${i}\ndata: ${i} ${payload}\n\n`);
    if (url.searchParams.get("reset")) stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else stream.end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
