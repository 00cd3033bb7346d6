// A webhook subscriber in JavaScript, with nothing but Node.js 18 or newer. As packages: standardwebhooks and a database.
//
//   WEBHOOK_SECRET=whsec_… node examples/webhooks/subscriber.mjs
import {createHmac, timingSafeEqual} from "node:crypto";
import {createServer} from "node:http";

const secret = Buffer.from(process.env.WEBHOOK_SECRET.replace("whsec_", ""), "base64");
const port = Number(process.argv[2] || 8098);
const LATE = 5 * 60;            // seconds: an older one may be a recording that somebody plays again
const seen = new Set();         // use a table with a unique key: memory forgets at a restart
const latest = new Map();       // by order: events may come in another order than they happened

function verified(headers, body) {
  const {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures} = headers;
  if (!id || !at || !signatures || !(Math.abs(Date.now() / 1000 - Number(at)) <= LATE)) return false;
  const expected = createHmac("sha256", secret).update(`${id}.${at}.`).update(body).digest();
  return signatures.split(" ").some(signature => {   // several while a secret is being replaced
    const [version, encoded] = signature.split(",");
    const given = Buffer.from(encoded || "", "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
}

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);   // the bytes as they came: parsed and written again, they would differ
  if (request.method !== "POST" || !verified(request.headers, body)) {
    response.writeHead(401).end();
    return;
  }
  const id = request.headers["webhook-id"], {event, timestamp, data} = JSON.parse(body);
  if (!seen.has(id)) {
    seen.add(id);
    const known = latest.get(data.order_number);
    // As texts, which have six digits of a second: a Date would cut them to three.
    if (!known || known.timestamp <= timestamp) latest.set(data.order_number, {status: data.status, timestamp});
    console.log("new", event, data.order_number);
  }
  response.writeHead(204).end();       // any 2xx: it is ours now
}).listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}/hooks`));
