// Takes webhooks as a receiver would: webhook_receiver.js LIBRARY PORT SECRET. GET answers what was taken and refused.
const http = require("http");
const zlib = require("zlib");

const [library, port, secret] = process.argv.slice(2);
const { Webhook } = require(library);
const webhook = new Webhook(secret);
const taken = { uuids: [], refused: [] };

function eventsOf(payload) {
  const events = Array.isArray(payload) ? payload : payload.events ?? payload.data ?? [payload];
  return Array.isArray(events) ? events : events.events;
}

http
  .createServer((request, response) => {
    if (request.method === "GET") return response.end(JSON.stringify(taken));
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const sent = Buffer.concat(parts);
      const body = request.headers["content-encoding"] === "gzip" ? zlib.gunzipSync(sent) : sent;
      try {
        const payload = webhook.verify(body.toString(), request.headers) ?? JSON.parse(body);
        taken.uuids.push(...eventsOf(payload).map((event) => event.uuid));
        response.statusCode = 204;
      } catch (error) {
        taken.refused.push(String(error));
        response.statusCode = 401;
      }
      response.end();
    });
  })
  .listen(Number(port), "127.0.0.1");
