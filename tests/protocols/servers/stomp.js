// A STOMP 1.2 broker for topics: heart-beats both ways, receipts, and ERROR frames with bodies.
// It requires the login "guest" with the passcode "guest", and destinations below /topic/.
"use strict";

const { count } = require("./common");

const ESCAPES = { "\\r": "\r", "\\n": "\n", "\\c": ":", "\\\\": "\\" };
/** The server's own heart-beats, in milliseconds: what it can send, and what it wants. */
const CAN_SEND = 1000;
const WANTS = 500;

/** Return a frame as text. */
const frame = (command, headers, text = "") => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  return `${command}\n${lines.join("")}\n${text}\0`;
};

class Session {
  constructor(broker, write, close) {
    Object.assign(this, { broker, write, close, subscriptions: new Map(), connected: false });
    this.timers = [];
    this.ended = false;
  }

  receive(data) {
    this.heard = Date.now();
    // Frames end with NUL, and line ends between them are heart-beats.
    for (const piece of data.split("\0")) {
      const text = piece.replace(/^[\r\n]+/, "");
      if (text) this.handle(text);
    }
  }

  handle(text) {
    const [head, ...rest] = text.split(/\r?\n\r?\n/);
    const [command, ...lines] = head.split(/\r?\n/);
    const headers = {};
    for (const line of lines) {
      const [name, ...value] = line.split(":");
      headers[name] ??= value.join(":").replace(/\\[rnc\\]/g, (each) => ESCAPES[each]);
    }
    if (command === "CONNECT" || command === "STOMP") this.connect(headers);
    else if (!this.connected) this.fail("Not connected", "CONNECT must come first.");
    else if (command === "SUBSCRIBE") this.subscribe(headers);
    else if (command === "UNSUBSCRIBE") this.subscriptions.delete(headers.id);
    else if (command === "SEND") this.broker.publish(headers.destination, rest.join("\n\n"), this);
    else if (command !== "DISCONNECT") this.fail("Unknown command", `${command} is unknown.`);
    const confirms = !this.broker.simple || command === "DISCONNECT";
    if (headers.receipt && confirms && !this.ended) this.write(frame("RECEIPT", { "receipt-id": headers.receipt }));
    if (command === "DISCONNECT") this.close();
  }

  connect(headers) {
    if (!String(headers["accept-version"]).split(",").includes("1.2")) {
      return this.fail("Version not supported", "Supported versions are 1.2.");
    }
    if (headers.login !== "guest" || headers.passcode !== "guest") {
      return this.fail("Bad CONNECT", "Access refused for this user.");
    }
    this.connected = true;
    this.write(frame("CONNECTED", { version: "1.2", "heart-beat": `${CAN_SEND},${WANTS}` }));
    const [sends, wants] = (headers["heart-beat"] || "0,0").split(",").map(Number);
    if (wants) this.timers.push(setInterval(() => this.write("\n"), Math.max(wants, CAN_SEND)));
    if (sends) {
      const most = 2 * Math.max(sends, WANTS);
      const check = () => {
        if (Date.now() - this.heard > most) this.fail("No heart-beat", `Nothing came for ${most} ms.`);
      };
      this.timers.push(setInterval(check, most / 2));
    }
  }

  subscribe({ id, destination }) {
    if (!String(destination).startsWith("/topic/")) {
      return this.fail("Unknown destination", `'${destination}' is not a valid destination.`);
    }
    this.subscriptions.set(id, destination);
  }

  fail(message, text) {
    this.ended = true;
    this.write(frame("ERROR", { message, "content-type": "text/plain" }, text));
    this.close();
  }

  end() {
    this.timers.forEach(clearInterval);
    this.broker.sessions.delete(this);
  }
}

exports.Broker = class {
  /** A simple broker, like Spring's, confirms no subscription by a receipt. */
  constructor(simple) {
    this.simple = simple;
    this.sessions = new Set();
    this.published = 0;
  }

  /** Return a session: its receive() takes data, and end() is called when its connection ends. */
  accept(write, close) {
    const session = new Session(this, write, close);
    this.sessions.add(session);
    return session;
  }

  /** Send a text to all who subscribe to a destination; to its publisher, too, but uncounted. */
  publish(destination, text, publisher) {
    const id = ++this.published;
    for (const session of this.sessions) {
      for (const [subscription, to] of session.subscriptions) {
        if (to !== destination) continue;
        if (session !== publisher) count(text);
        session.write(frame("MESSAGE", { subscription, "message-id": id, destination }, text));
      }
    }
  }
};
