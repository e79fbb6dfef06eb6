// What a virtual user of Artillery does with each message: it enters the delivery latency in
// a histogram of Artillery's.
"use strict";

module.exports = {
  listen(context, events, done) {
    context.ws.on("message", (data) => {
      const code = JSON.parse(data).code;
      const sentMs = parseInt(code.slice(code.lastIndexOf("-") + 1), 36) / 1e6;
      events.emit("histogram", "delivery", Date.now() - sentMs);
    });
    return done();
  },
};
