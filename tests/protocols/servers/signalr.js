// A server of SignalR's JSON protocol with stateful reconnect: signalr.js BUFFER.
//
// The hub is at /hub; its clients need a token, as a header or in the query. They join groups by the
// method Join, and have a code broadcast by the method Broadcast; what is posted to /api/ingest goes
// out as well, to the group that it names or else to everybody. BUFFER is how many bytes wait at
// most for an acknowledgement of a client with stateful reconnect; what is beyond is sent later.
"use strict";

const crypto = require("crypto");
const http = require("http");
const { answer, body, count, start } = require("./common");
const { accept } = require("./websockets");

const BUFFER = Number(process.argv[2] || 100000);
const [TOKEN, END] = ["user-token", "\u001e"];
const [INVOCATION, COMPLETION, PING, CLOSE, ACK, SEQUENCE] = [1, 3, 6, 7, 8, 9];
/** Messages that are numbered. */
const NUMBERED = [1, 2, 3, 4, 5];
const VERSIONS = { json: 2 };
const connections = new Map();

const allowed = ({ headers }, url) =>
  headers.authorization === `Bearer ${TOKEN}` || url.searchParams.get("access_token") === TOKEN;

function negotiate(url) {
  const version = Number(url.searchParams.get("negotiateVersion"));
  if (version < 0) {
    const words = `The client requested version '${version}', but the server does not support it.`;
    return { error: words };
  }
  const stateful = url.searchParams.get("useStatefulReconnect") === "true";
  const token = crypto.randomBytes(16).toString("base64url");
  const groups = new Set();
  const given = { token, stateful, groups, number: 0, buffer: [], waiting: [], records: [] };
  connections.set(token, given);
  return {
    negotiateVersion: Math.min(version, 1),
    connectionId: `${connections.size}`,
    connectionToken: token,
    availableTransports: [{ transport: "WebSockets", transferFormats: ["Text", "Binary"] }],
    ...(stateful && { useStatefulReconnect: true }),
  };
}

function open(socket, url) {
  const connection = connections.get(url.searchParams.get("id"));
  connection.socket = socket;
  connection.records = [];
  socket.on("message", (frame) => {
    for (const record of String(frame).split(END).slice(0, -1)) {
      take(connection, JSON.parse(record));
    }
  });
  socket.on("close", () => {
    connection.socket = null;
    clearInterval(connection.pings);
    if (!connection.stateful) connections.delete(connection.token);
    else connection.expiry = setTimeout(() => connections.delete(connection.token), 30000);
  });
  if (connection.greeted) resume(connection);
}

function resume(connection) {
  clearTimeout(connection.expiry);
  const [first] = connection.buffer;
  write(connection, { type: SEQUENCE, sequenceId: first ? first.number : connection.number + 1 });
  for (const { record } of connection.buffer) writeRecord(connection, record);
  keepAlive(connection);
}

function take(connection, message) {
  if (!connection.greeted) return greet(connection, message);
  const { type, target, invocationId, arguments: given } = message;
  if (type === ACK) return acknowledge(connection, message.sequenceId);
  if (type !== INVOCATION) return undefined;
  let error;
  if (target === "Join") connection.groups.add(given[0]);
  else if (target === "Broadcast") broadcast(given[0]);
  else error = `Failed to invoke '${target}'. HubException: Method does not exist.`;
  return send(connection, { type: COMPLETION, invocationId, ...(error && { error }) });
}

function greet(connection, { protocol, version }) {
  let error;
  if (!VERSIONS[protocol]) error = `The protocol '${protocol}' is not supported.`;
  else if (version > VERSIONS[protocol]) {
    error = `The server does not support version ${version} of the '${protocol}' protocol.`;
  }
  writeRecord(connection, JSON.stringify(error ? { error } : {}));
  if (error) return flush(connection) || connection.socket.close();
  connection.greeted = true;
  return keepAlive(connection);
}

function keepAlive(connection) {
  connection.pings = setInterval(() => write(connection, { type: PING }), 15000);
}

function broadcast(code, group) {
  const message = { type: INVOCATION, target: "newCode", arguments: [{ code }] };
  for (const each of connections.values()) {
    if (each.greeted && (group === undefined || each.groups.has(group))) send(each, message);
  }
}

/** Send a message; a numbered one is kept until the client acknowledges it. */
function send(connection, message) {
  const record = JSON.stringify(message);
  if (connection.stateful && NUMBERED.includes(message.type)) {
    if (buffered(connection) >= BUFFER) {
      connection.waiting.push(record);
      return;
    }
    connection.buffer.push({ number: ++connection.number, record });
  }
  writeRecord(connection, record);
}

const buffered = ({ buffer }) => buffer.reduce((sum, { record }) => sum + record.length, 0);

function acknowledge(connection, number) {
  connection.buffer = connection.buffer.filter((each) => each.number > number);
  while (connection.waiting.length && buffered(connection) < BUFFER) {
    const record = connection.waiting.shift();
    connection.buffer.push({ number: ++connection.number, record });
    writeRecord(connection, record);
  }
}

const write = (connection, message) => writeRecord(connection, JSON.stringify(message));

/** Write a record; those of one moment go in one frame. */
function writeRecord(connection, record) {
  if (connection.socket && connection.records.push(record) === 1) setImmediate(flush, connection);
}

function flush(connection) {
  if (!connection.socket || !connection.records.length) return;
  const frame = connection.records.map((each) => each + END).join("");
  connection.records = [];
  connection.socket.send(frame);
  count(frame);
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  if (url.pathname === "/hub/negotiate") {
    if (allowed(request, url)) answer(response, 200, negotiate(url));
    else answer(response, 401, { error: "the token is invalid" });
  } else if (url.pathname === "/api/ingest") {
    const { code, channel } = await body(request);
    broadcast(code, channel);
    answer(response, 200, { status: "success" });
  } else if (url.pathname === "/api/close") {
    const message = { type: CLOSE, error: "The hub closes.", allowReconnect: false };
    for (const each of connections.values()) if (each.greeted) write(each, message);
    answer(response, 200, { status: "success" });
  } else {
    answer(response, 404, {});
  }
});
const exists = (url, request) =>
  url.pathname === "/hub" && connections.has(url.searchParams.get("id")) && allowed(request, url);
accept(server, exists, open);
start(server);
