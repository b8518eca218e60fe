// The package of clients/typescript, in Node. Prints {name: null or what went wrong}.
import assert from "node:assert/strict";

const [baseUrl, token, persona, entry] = process.argv.slice(2);
const { PersonaForge, PersonaForgeError } = await import(entry);
const forge = new PersonaForge({ baseUrl, token: async () => token });
const refused = (status, code) => (error) =>
  error instanceof PersonaForgeError && error.status === status && error.code === code;

const calls = {
  "every operation, typed": async () => {
    const { data } = await forge.api.GET("/v1/personas/{persona_id}", { params: { path: { persona_id: persona } } });
    assert.equal(data.id, persona);
  },
  "talk, streamed": async () => {
    const job = await forge.talk(persona, { say: "Good evening." });
    const answer = await forge.fetch(job.urls.stream);
    const video = new Uint8Array(await answer.arrayBuffer());
    assert.equal(new TextDecoder().decode(video.slice(4, 8)), "ftyp");
    assert.equal((await forge.wait(job)).status, "succeeded");
  },
  "talk, waited for": async () => {
    const done = await forge.wait(await forge.talk(persona, { message: "Who are you?" }, { stream: false }));
    assert.ok(done.text.length > 10 && done.output.startsWith("http"));
  },
  "create and cancel": async () => {
    const job = await forge.create("personaforge/portrait", { persona });
    await forge.cancel(job);
    await assert.rejects(forge.wait(job), PersonaForgeError);
  },
  "upload": async () => {
    const png = Uint8Array.from(atob("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="),
      (one) => one.charCodeAt(0));
    assert.ok((await forge.upload(new Blob([png], { type: "image/png" }), "dot.png")).startsWith("http"));
  },
  "what is refused": async () => {
    await assert.rejects(forge.talk(persona, { say: " " }), refused(422, "invalid_input"));
    const nobody = new PersonaForge({ baseUrl, token: "x" });
    await assert.rejects(nobody.api.GET("/v1/personas"), refused(401, "unauthenticated"));
    const nowhere = new PersonaForge({ baseUrl: "http://127.0.0.1:9", token });
    await assert.rejects(nowhere.api.GET("/v1/personas"), refused(0, "unreachable"));
  },
};

const found = {};
for (const [name, call] of Object.entries(calls)) {
  found[name] = await call().then(() => null, (error) => String(error.stack ?? error).slice(0, 500));
}
console.log(JSON.stringify(found));
process.exit(0);
