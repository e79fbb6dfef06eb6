// For each message, a virtual user adds the delivery latency to one of Artillery's histograms.
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
