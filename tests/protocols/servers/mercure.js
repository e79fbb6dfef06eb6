// A hub of Mercure's protocol, with tokens for subscribers and publishers (JWT, HMAC SHA-256).
//
// Subscribers connect at /.well-known/mercure, and codes are posted there. A private update reaches
// only those whose token allows its topic. All updates are kept, for who returns with the ID of its
// last event. What a token allows is a topic, or "*" for all.
"use strict";

const crypto = require("crypto");
const http = require("http");
const { count, start, text } = require("./common");

const SECRET = "hub-secret";
const updates = [];
const subscribers = new Set();

const signature = (words) => crypto.createHmac("sha256", SECRET).update(words).digest("base64url");

/** Return the claims of a request's token; null if it has none, or an invalid one. */
function claims(request, url) {
  const header = request.headers.authorization || "";
  const token = url.searchParams.get("authorization") || header.replace(/^Bearer /, "");
  const [head, payload, signed] = token.split(".");
  if (!payload || signed !== signature(`${head}.${payload}`)) return null;
  const said = JSON.parse(Buffer.from(payload, "base64url"));
  return said.exp < Date.now() / 1000 ? null : said.mercure;
}

const matches = (selectors, topics) =>
  (selectors || []).some((each) => each === "*" || topics.includes(each));

function refuse(response, status, words) {
  response.writeHead(status, { "Content-Type": "text/plain" }).end(`${words}\n`);
}

function subscribe(request, response, url) {
  const allowed = claims(request, url);
  const topics = url.searchParams.getAll("topic");
  if (!allowed) return refuse(response, 401, "Unauthorized");
  if (!topics.length) return refuse(response, 400, 'Missing "topic" parameter.');
  const subscriber = { response, topics, allowed: allowed.subscribe };
  const headers = { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" };
  response.writeHead(200, headers);
  response.write(":\n");
  const last = request.headers["last-event-id"] || url.searchParams.get("lastEventID");
  const index = updates.findIndex(({ id }) => id === last);
  if (index >= 0) updates.slice(index + 1).forEach((update) => dispatch(subscriber, update));
  subscribers.add(subscriber);
  return response.on("close", () => subscribers.delete(subscriber));
}

function dispatch({ response, topics, allowed }, update) {
  if (!matches(topics, update.topics)) return;
  if (update.private && !matches(allowed, update.topics)) return;
  const lines = update.data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
  const event = `id: ${update.id}\n${lines.join("")}\n`;
  response.write(event);
  count(event);
}

function publish(request, response, url, form) {
  const allowed = claims(request, url);
  const topics = form.getAll("topic");
  if (!topics.length) return refuse(response, 400, 'Missing "topic" parameter');
  if (!allowed || !matches(allowed.publish, topics)) return refuse(response, 401, "Unauthorized");
  const id = form.get("id") || `urn:uuid:${crypto.randomUUID()}`;
  const update = { id, topics, data: form.get("data") || "", private: form.has("private") };
  updates.push(update);
  subscribers.forEach((subscriber) => dispatch(subscriber, update));
  response.writeHead(200, { "Content-Type": "text/plain" }).end(id);
  return undefined;
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const form = new URLSearchParams(await text(request));
  if (url.pathname === "/page") {
    response.writeHead(200, { "Content-Type": "text/html" }).end("<title>Subscribers</title>");
  } else if (url.pathname !== "/.well-known/mercure") {
    refuse(response, 404, "Not found");
  } else if (request.method === "POST") {
    publish(request, response, url, form);
  } else {
    subscribe(request, response, url);
  }
});
start(server);
