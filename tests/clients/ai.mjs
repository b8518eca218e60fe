// The AI SDK's calls of media models. Prints {name: null or what went wrong}.
import assert from "node:assert/strict";
import { createReplicate } from "@ai-sdk/replicate";
import { experimental_generateVideo as generateVideo, generateImage } from "ai";

const [baseUrl, apiToken, persona] = process.argv.slice(2);
const replicate = createReplicate({ apiToken, baseURL: `${baseUrl}/v1` });
const prompt = "An old sailor with a white beard and a blue cap.";
const ours = { replicate: { persona } };
// The SDK does not visit loopback addresses; where a deployment's files lie, its own download does.
const download = async ({ url }) => {
  const answer = await fetch(url);
  return { data: new Uint8Array(await answer.arrayBuffer()), mediaType: answer.headers.get("content-type") };
};

const calls = {
  "generateImage": async () => {
    const { image } = await generateImage(
      { model: replicate.image("personaforge/portrait"), prompt, aspectRatio: "1:1", providerOptions: ours });
    assert.equal(image.mediaType, "image/png");
  },
  "generateImage, by version, with size and seed": async () => {
    const model = replicate.image("personaforge/portrait:portrait");
    const { images } = await generateImage({ model, prompt, size: "512x512", seed: 7, n: 1, providerOptions: ours });
    assert.equal(images.length, 1);
  },
  "generateVideo": async () => {
    const model = replicate.video("personaforge/talk");
    const { video } = await generateVideo({ model, prompt: "Who are you?", providerOptions: ours, download });
    assert.ok(video.uint8Array.length > 10_000);
  },
  "generateVideo, with duration and aspect ratio": async () => {
    const model = replicate.video("personaforge/talk:talk");
    const asked = { prompt: "Hello!", aspectRatio: "1:1", duration: 5, fps: 25, seed: 3, providerOptions: ours };
    const { videos } = await generateVideo({ model, ...asked, download });
    assert.equal(videos.length, 1);
  },
};

const found = {};
for (const [name, call] of Object.entries(calls)) {
  found[name] = await call().then(() => null, (error) => String(error.stack ?? error).slice(0, 500));
}
console.log(JSON.stringify(found));
process.exit(0);
