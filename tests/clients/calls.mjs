// The calls that Replicate's JavaScript client documents, each by itself. Prints {name: null or what went wrong}.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import Replicate, { validateWebhook, parseProgressFromLogs } from "replicate";

const [baseUrl, auth, persona] = process.argv.slice(2);
const replicate = new Replicate({ auth, baseUrl: `${baseUrl}/v1`, useFileOutput: false });
const input = { persona, say: "Driven from JavaScript." };
const model = "personaforge/talk";
const waiting = (more = {}) => replicate.predictions.create({ version: "talk", input, stream: true, ...more });
const wav = () => {
  const sound = Buffer.alloc(44 + 24000);
  sound.write("RIFF", 0); sound.writeUInt32LE(36 + 24000, 4); sound.write("WAVEfmt ", 8);
  sound.writeUInt32LE(16, 16); sound.writeUInt16LE(1, 20); sound.writeUInt16LE(1, 22);
  sound.writeUInt32LE(24000, 24); sound.writeUInt32LE(48000, 28); sound.writeUInt16LE(2, 32);
  sound.writeUInt16LE(16, 34); sound.write("data", 36); sound.writeUInt32LE(24000, 40);
  return sound;
};

async function webhook(send) {
  const secret = (await replicate.webhooks.default.secret.get()).key;
  return new Promise((resolve, reject) => {
    const server = createServer((request, answer) => {
      let body = "";
      request.on("data", (part) => { body += part; });
      request.on("end", async () => {
        answer.end();
        server.close();
        const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = request.headers;
        resolve(await Promise.all([body, body + " "].map(
          (text) => validateWebhook({ id, timestamp, signature, body: text, secret }))));
      });
    }).listen(0, "127.0.0.1", () => send(`http://127.0.0.1:${server.address().port}/`).catch(reject));
  });
}

const calls = {
  "run, a string": async () => assert.match(await replicate.run(model, { input }), /\.mp4\?/),
  "run, by version": async () => assert.match(await replicate.run(`${model}:talk`, { input }), /\.mp4\?/),
  "run, with progress": async () => {
    const seen = [];
    await replicate.run(model, { input, wait: { mode: "poll", interval: 100 } }, (one) => seen.push(one.status));
    assert.equal(seen.at(-1), "succeeded");
  },
  "run, polled": async () => assert.match(await replicate.run(model, { input, wait: { mode: "poll" } }), /\.mp4\?/),
  "run, blocking": async () => assert.match(
    await replicate.run(model, { input, wait: { mode: "block", timeout: 30 } }), /\.mp4\?/),
  "run, aborted": async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 150);
    await replicate.run(model, { input: { persona, message: "Tell me about comets." }, signal: abort.signal })
      .catch((error) => assert.equal(error.name, "AbortError"));
  },
  "run, a wrong input": async () => assert.rejects(
    replicate.run(model, { input: { persona } }), (error) => error.response.status === 422),
  "predictions.create, by model": async () => assert.equal(
    (await replicate.predictions.create({ model, input, stream: true })).model, model),
  "predictions.create, by version": async () => assert.equal((await waiting()).status, "starting"),
  "predictions.create, by owner/name as version": async () => assert.equal(
    (await waiting({ version: model })).status, "starting"),
  "predictions.create, wait": async () => assert.equal(
    (await replicate.predictions.create({ model, input, wait: 30 })).status, "succeeded"),
  "predictions.create, urls.stream": async () => assert.ok((await waiting()).urls.stream.startsWith(baseUrl)),
  "predictions.create, webhook": async () => assert.deepEqual(
    await webhook((url) => replicate.predictions.create(
      { model, input, webhook: url, webhook_events_filter: ["completed"] })), [true, false]),
  "predictions.get": async () => {
    const made = await waiting();
    assert.equal((await replicate.predictions.get(made.id)).id, made.id);
  },
  "predictions.get, of nobody": async () => assert.rejects(
    replicate.predictions.get("nothing"), (error) => error.response.status === 404),
  "predictions.cancel": async () => {
    const canceled = await replicate.predictions.cancel((await waiting()).id);
    assert.deepEqual([canceled.status, canceled.error], ["canceled", null]);
  },
  "predictions.list": async () => {
    const made = await waiting();
    assert.equal((await replicate.predictions.list()).results[0].id, made.id);
  },
  "paginate": async () => {
    const seen = [];
    for await (const page of replicate.paginate(replicate.predictions.list)) seen.push(...page.map((one) => one.id));
    assert.equal(new Set(seen).size, seen.length);
    assert.ok(seen.length > 2);
  },
  "wait": async () => {
    const made = await replicate.predictions.create({ model, input });
    assert.equal((await replicate.wait(made, { interval: 100 })).status, "succeeded");
  },
  "parseProgressFromLogs": async () => {
    const made = await replicate.predictions.create({ model, input });
    const done = await replicate.wait(made, { interval: 100 });
    assert.ok(parseProgressFromLogs("42%|#### | 42/100")?.percentage === 0.42 && done.logs !== undefined);
  },
  "models.get": async () => {
    const found = await replicate.models.get("personaforge", "talk");
    const { properties } = found.latest_version.openapi_schema.components.schemas.Input;
    assert.deepEqual(Object.keys(properties).sort(), ["audio", "message", "persona", "say", "size"]);
  },
  "models.list": async () => assert.ok((await replicate.models.list()).results.length >= 3),
  "models.search": async () => assert.equal((await replicate.models.search("lipsync")).results[0].name, "lipsync"),
  "models.versions.list": async () => assert.equal(
    (await replicate.models.versions.list("personaforge", "talk")).results[0].id, "talk"),
  "models.versions.get": async () => assert.equal(
    (await replicate.models.versions.get("personaforge", "talk", "talk")).id, "talk"),
  "accounts.current": async () => assert.equal((await replicate.accounts.current()).type, "user"),
  "files.create, get, list, delete": async () => {
    const file = await replicate.files.create(new Blob([wav()]), { name: "sound.wav" });
    assert.equal((await replicate.files.get(file.id)).size, file.size);
    assert.ok((await replicate.files.list()).results.some((one) => one.id === file.id));
    assert.equal(await replicate.files.delete(file.id), true);
  },
  "an input that is a Blob": async () => {
    const audio = new Blob([wav()], { type: "audio/wav" });
    assert.match(await replicate.run("personaforge/lipsync", { input: { persona, audio } }), /\.mp4\?/);
  },
  "an input that is a Buffer": async () => assert.match(
    await replicate.run("personaforge/lipsync", { input: { persona, audio: wav() } }), /\.mp4\?/),
  "webhooks.default.secret.get": async () => assert.match((await replicate.webhooks.default.secret.get()).key, /^whsec_/),
  "stream": async () => {
    // The client sends no token to `urls.stream`: whoever streams gives it one by a fetch of their own.
    const headers = { authorization: `Bearer ${auth}` };
    const own = new Replicate({ auth, baseUrl: `${baseUrl}/v1`, fetch: (url, options) => fetch(
      url, { ...options, headers: { ...Object.fromEntries(new Headers(options?.headers)), ...headers } }) });
    let text = "", ended = false;
    for await (const { event, data } of own.stream(model, { input, stream: true })) {
      if (event === "output") text += data;
      ended ||= event === "done";
    }
    assert.deepEqual([text.trim(), ended], [input.say, true]);
  },
};

const found = {};
for (const [name, call] of Object.entries(calls)) {
  found[name] = await call().then(() => null, (error) => String(error.stack ?? error).slice(0, 500));
}
console.log(JSON.stringify(found));
process.exit(0);
