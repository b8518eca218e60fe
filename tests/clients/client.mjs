// Drives the backend with Replicate's own JavaScript client; prints what it saw as one JSON object.
import { createServer } from "node:http";
import Replicate, { validateWebhook } from "replicate";

const [baseUrl, auth, persona] = process.argv.slice(2);
const replicate = new Replicate({ auth, baseUrl: `${baseUrl}/v1`, useFileOutput: false });
const input = { persona, say: "Driven from JavaScript." };

const output = await replicate.run("personaforge/talk", { input });
const made = await replicate.predictions.create({ model: "personaforge/talk", input });
const waited = await replicate.wait(made, { interval: 200 });
const byVersion = await replicate.predictions.create({ version: "talk", input, stream: true });
const canceled = await replicate.predictions.cancel(byVersion.id);
const listed = [];
for await (const page of replicate.paginate(replicate.predictions.list)) listed.push(...page.map((one) => one.id));
const model = await replicate.models.get("personaforge", "talk");
const secret = (await replicate.webhooks.default.secret.get()).key;
const valid = await new Promise(async (resolve) => {
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", async () => {
      answer.end();
      server.close();
      const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = request.headers;
      const [genuine, changed] = await Promise.all([body, body + " "].map(
        (text) => validateWebhook({ id, timestamp, signature, body: text, secret })));
      resolve({ genuine, changed });
    });
  }).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const webhook = `http://127.0.0.1:${server.address().port}/`;
  await replicate.run("personaforge/talk", { input, webhook, webhook_events_filter: ["completed"] });
});
let missing;
try { await replicate.predictions.get("nothing"); } catch (error) { missing = error.response.status; }
console.log(JSON.stringify({
  output, missing, valid, waited: waited.status, canceled: canceled.status, stream: byVersion.urls.stream,
  ids: [made.id, byVersion.id].every((id) => listed.includes(id)), listed: listed.length, unique: new Set(listed).size,
  inputs: Object.keys(model.latest_version.openapi_schema.components.schemas.Input.properties),
}));
