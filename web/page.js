const MIME = 'video/mp4; codecs="avc1.4d4020, mp4a.40.2"';
const at = id => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get('token') || sessionStorage.token || '';
if (token) sessionStorage.token = token;
history.replaceState(null, '', location.pathname);
const BLANK = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#8886" d="M0 0h8v8H0zM4 1.6a1.3 1.3 0 1 1 0 2.8 1.3 1.3 0 0 1 0-2.8zM1.6 8a2.4 2.6 0 0 1 4.8 0z"/></svg>')}`;
const NO_TOKEN = "This page needs a user's access token: open it with #token=… (`forge up` prints the whole address).";
let persona = null, talking = null;

const say = (text, error = false) => { at('status').textContent = text; at('status').className = error ? 'error' : ''; };

async function api(path, options = {}) {
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', ...options.headers };
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail || `The backend answered ${answer.status}.`);
}
const post = (path, body, headers) => api(path, { method: 'POST', body: JSON.stringify(body), headers }).then(a => a.json());

/* Feeds a video element from a stream as it arrives; resolves when everything is appended. */
async function play(video, stream, signal) {
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise(open => source.addEventListener('sourceopen', open, { once: true }));
  const buffer = source.addSourceBuffer(MIME);
  const appended = () => new Promise((done, fail) => {
    buffer.addEventListener('updateend', done, { once: true });
    buffer.addEventListener('error', () => fail(new Error('The video could not be decoded.')), { once: true });
  });
  video.play().catch(() => say('Press play to listen.'));
  const reader = stream.getReader();
  for (let part; !(part = await reader.read()).done;) {
    if (signal.aborted) throw new DOMException('cut off', 'AbortError');
    buffer.appendBuffer(part.value);
    await appended();
  }
  if (source.readyState === 'open') source.endOfStream();
}

/* Whoever speaks, or picks something else, while an answer plays cuts it off. */
function hangUp() {
  talking?.abort();
  talking = new AbortController();
  return talking.signal;
}

async function draw(one) {
  say(`Drawing ${one.name} …`);
  const job = await post('/v1/predictions', { model: 'personaforge/portrait', input: { persona: one.id } }, { Prefer: 'wait=60' });
  if (job.status !== 'succeeded') throw new Error(job.error || 'The portrait is not ready yet; reload in a moment.');
}

async function ask(message) {
  if (!persona) throw new Error(token ? 'Create a persona first.' : NO_TOKEN);
  const signal = hangUp(), video = at('player');
  if (!persona.portrait) { await draw(persona); await showPeople(); }
  const started = performance.now();
  say('…');
  const job = await post('/v1/predictions', { model: 'personaforge/talk', stream: true, input: { persona: persona.id, message } });
  if (signal.aborted) { await api(`/v1/predictions/${job.id}/cancel`, { method: 'POST' }); return; }
  let broken = null;
  try {
    const answer = await api(job.urls.stream, { signal });
    video.requestVideoFrameCallback(() => {
      window.firstFrameMs = performance.now() - started;
      say(`First frame after ${Math.round(window.firstFrameMs)} ms.`);
    });
    await play(video, answer.body, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    broken = error;
  }
  const done = await (await api(job.urls.get)).json();
  if (done.status !== 'succeeded') throw broken || new Error(done.error);
  /* Without a live video there may still be a kept one, the voice alone, or the text alone. */
  if (broken) {
    video.poster = persona.portrait || '';
    video.src = done.output || '';
    if (done.output) await video.play().catch(() => say('Press play to listen.'));
  }
  if (!signal.aborted) say(done.degraded ? `${done.text} (${done.degraded.delivered} only: ${done.degraded.reasons.at(-1).detail})` : done.text);
  window.lastTalk = done;
  await showGallery();
}

function tile(image, label, pressed, click) {
  const button = document.createElement('button'), picture = document.createElement('img');
  picture.src = image || BLANK; picture.alt = '';
  button.append(picture, label); button.type = 'button'; button.title = label;
  if (pressed !== null) button.setAttribute('aria-pressed', pressed);
  button.onclick = click;
  return button;
}
async function showPeople() {
  const { results } = await (await api('/v1/personas')).json();
  persona = results.find(one => one.id === persona?.id) || results[0] || null;
  at('people').replaceChildren(...results.map(one => tile(one.portrait, one.name, one.id === persona.id, () => { hangUp(); persona = one; showPeople(); })));
  at('player').poster = persona?.portrait || '';
  if (!persona) say('Create a persona first.');
}
async function showGallery() {
  const { results } = await (await api('/v1/gallery')).json();
  at('gallery').replaceChildren(...results.slice(0, 12).map(one => tile(one.persona.portrait, one.duration_s ? `${one.persona.name}, ${Math.round(one.duration_s)} s` : one.persona.name, null,
    () => { hangUp(); at('player').src = one.video; at('player').play(); say(one.text || ''); })));
}
function guard(form, work) {
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try { await work(); } catch (error) { if (error.name !== 'AbortError') say(error.message, true); }
  });
}
guard(at('ask'), async () => { const text = at('message').value; at('message').value = ''; await ask(text); });
guard(at('create'), async () => {
  say('Making a persona …');
  const fields = Object.fromEntries(['name', 'appearance', 'description'].map(id => [id, at(id).value]));
  const made = await post('/v1/personas', fields);
  await draw(made);
  at('create').reset(); persona = made; say(''); await showPeople();
});
if (!token) say(NO_TOKEN, true);
else showPeople().then(showGallery).catch(error => say(error.message, true));
