/** <persona-video>: poster under idle under talk. An element is shown only once a frame of it was presented. */

import { Mp4Stream, type Word } from './mp4-stream.js';
import { SourceFeed, sourceClass } from './source-feed.js';
import { TalkStream } from './talk-stream.js';

export type State = 'idle' | 'thinking' | 'ready' | 'speaking' | 'stalled';
/** A prediction as the API shows it, as far as it is needed to be played. */
export interface Prediction {
  status: string;
  urls: { get: string; cancel?: string; stream?: string | null };
  output?: string | null;
  captions?: string | null;
  text?: string | null;
  error?: string | null;
  degraded?: { delivered: string; reasons: { detail: string }[] } | null;
}
export interface PersonaVideoEvents {
  state: CustomEvent<{ state: State }>;
  firstframe: CustomEvent<{ ms: number }>;
  caption: CustomEvent<{ text: string }>;
  error: CustomEvent<{ code: string; message: string }>;
}

const UNDECODABLE = 'The video could not be decoded.';
const DEFAULT_TYPE = 'video/mp4; codecs="avc1.4d4020, mp4a.40.2"';
const FADE = 180; // ms
const STALLED = 1000; // ms without a new frame, from which it is said
const SILENT_STREAM = 15_000; // ms without a byte, from which the kept video is played instead
const POLL = 1000; // ms between two looks at a prediction that is made without us
const LINE = 76; // characters of a caption, two lines on a phone

const css = new CSSStyleSheet();
css.replaceSync(`
  :host { display: block; position: relative; overflow: hidden; aspect-ratio: 1; background: var(--persona-room, #ddd); }
  :host([hidden]) { display: none; }
  img, video { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; object-position: var(--persona-focus, 50% 30%); }
  img:not([src]) { display: none; }
  video { opacity: 0; }
  video.shown { opacity: 1; }
  video.fade { transition: opacity ${FADE}ms cubic-bezier(.2, 0, 0, 1); }
  .below { position: absolute; inset: auto 0 var(--persona-caption-bottom, 16px); display: grid; gap: 8px; justify-items: center; padding: 0 16px; }
  .caption { max-width: 30em; text-align: center; font: 600 var(--persona-caption-size, 22px)/1.45 system-ui, sans-serif; color: #fff; }
  .caption span { background: rgb(19 17 14 / .8); padding: 2px 6px; box-decoration-break: clone; -webkit-box-decoration-break: clone; border-radius: 6px; }
  .caption b { font-weight: inherit; color: #8fe0de; }
  .notice { background: rgb(19 17 14 / .8); color: #fff; border-radius: 12px; padding: 8px 12px; font: 14px/20px system-ui, sans-serif; }
  .notice:empty, .caption:empty { display: none; }
  button { font: inherit; font-weight: 600; min-height: 44px; padding: 0 16px; border: 0; border-radius: 10px; background: #fefdfa; color: #211d19; margin-left: 8px; }
  :host([captions="off"]) .caption { display: none; }
  @media (prefers-reduced-motion: reduce) { video.fade { transition: none; } video.loop { display: none; } }
`);

/** What ended a talk before its end. */
class Failure extends Error {
  constructor(readonly code: string, message: string) { super(message); }
}

const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

export class PersonaVideo extends Base {
  static observedAttributes = ['poster', 'idle', 'thinking', 'muted', 'label', 'crossorigin'];

  /** Fetches what the API guards: give it the user's token here. */
  fetch: typeof fetch = (...given) => globalThis.fetch(...given);

  #poster = document.createElement('img');
  #idle = loop();
  #thinking = loop();
  #talks = [talkElement(), talkElement()];
  #talk = this.#talks[0]!;
  #caption = part('caption');
  #notice = part('notice');
  #state: State = 'idle';
  #current: AbortController | undefined;
  #cancel: string | undefined;
  #feed: SourceFeed | undefined;
  #words: Word[] = [];

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.adoptedStyleSheets = [css];
    this.#poster.alt = '';
    this.#poster.part.add('poster');
    this.#caption.ariaHidden = 'true';
    this.#notice.role = 'status';
    const below = document.createElement('div');
    below.className = 'below';
    below.append(this.#notice, this.#caption);
    root.append(this.#poster, this.#idle, this.#thinking, ...this.#talks, below);
    for (const video of [this.#idle, this.#thinking]) video.ariaHidden = 'true';
  }

  connectedCallback(): void {
    for (const name of ['fetch', 'muted'] as const) this.#upgrade(name);
    document.addEventListener('visibilitychange', this.#onVisible);
    this.#label();
    if (!this.#current) void this.#rest();
  }

  disconnectedCallback(): void {
    document.removeEventListener('visibilitychange', this.#onVisible);
    void this.stop();
  }

  attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    if (before && before.split('?')[0] === value?.split('?')[0]) return; // the same file, under an address signed anew
    if (name === 'poster') value ? (this.#poster.src = value) : this.#poster.removeAttribute('src');
    else if (name === 'muted') for (const talk of this.#talks) talk.muted = value !== null;
    else if (name === 'label') this.#label();
    else if (name === 'crossorigin') for (const one of [this.#poster, this.#idle, this.#thinking, ...this.#talks]) one.crossOrigin = value;
    else this.#load(name === 'idle' ? this.#idle : this.#thinking, value);
  }

  get state(): State { return this.#state; }
  get muted(): boolean { return this.hasAttribute('muted'); }
  set muted(value: boolean) { this.toggleAttribute('muted', value); }

  /** Have it think until `speak` is called. */
  think(): void {
    this.#say('');
    this.#become('thinking');
    void this.#show(this.#thinking);
  }

  /**
   * Play a prediction: its stream where it has one, else what is kept of it. Resolves at its end, and never rejects:
   * what goes wrong is an `error` event and a message on the picture.
   */
  async speak(prediction: Prediction): Promise<void> {
    const asked = performance.now();
    this.#hush();
    const current = (this.#current = new AbortController());
    this.#cancel = prediction.urls.cancel;
    this.#words = [];
    this.think();
    try {
      let wanted: Prediction | undefined = prediction;
      if (prediction.urls.stream) {
        try {
          await this.#stream(prediction.urls.stream, current.signal, asked);
          wanted = undefined;
        } catch (error) {
          if (current.signal.aborted) return;
          if (error instanceof Failure && error.code === 'autoplay') throw error;
          this.#hush(current);
          this.think();
        }
      }
      if (wanted) await this.#kept(wanted, current.signal, asked);
    } catch (error) {
      if (current.signal.aborted) return;
      const failure = error instanceof Failure ? error : new Failure('network', 'The connection was lost. What was kept is in the gallery.');
      this.#say(failure.message);
      this.dispatchEvent(new CustomEvent('error', { detail: { code: failure.code, message: failure.message } }));
    }
    if (this.#current !== current) return;
    this.#current = undefined;
    await this.#rest();
  }

  /** Silent at once; then the job is canceled. */
  async stop(): Promise<void> {
    const cancel = this.#current ? this.#cancel : undefined;
    this.#hush();
    this.#current = undefined;
    void this.#rest();
    if (cancel) await this.fetch(cancel, { method: 'POST', keepalive: true }).catch(() => undefined);
  }

  async #stream(url: string, signal: AbortSignal, asked: number): Promise<void> {
    const Class = sourceClass();
    if (!Class) {
      // It is made and kept all the same, and its words come as they are spoken.
      const answer = await this.fetch(url, { signal, headers: { Accept: 'text/event-stream' } });
      await answer.text();
      throw new Failure('no_media_source', '');
    }
    const stream = new TalkStream(url);
    const answer = await stream.open(this.fetch, signal);
    if (!answer.ok || !answer.body) throw await problem(answer);
    const given = answer.headers.get('content-type') ?? '';
    const type = given.includes('codecs=') ? given : DEFAULT_TYPE;
    if (!Class.isTypeSupported(type)) throw new Failure('codec', 'This browser cannot play the video.');
    const talk = this.#other();
    const first = presented(talk);
    const feed = (this.#feed = new SourceFeed(talk, type));
    const media = new Mp4Stream((words) => this.#words.push(...words));
    const reader = stream.reader(answer);
    const read = async (): Promise<void> => {
      let until = 0;
      for (;;) {
        const { done, value } = await within(SILENT_STREAM, reader.read());
        if (done) {
          stream.ended(until);
          return feed.end();
        }
        stream.received();
        const segments = media.push(value);
        until = segments.at(-1)?.end || until;
        feed.append(segments);
      }
    };
    const reading = read();
    reading.catch(() => undefined);
    signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
    await feed.open();
    await until(() => feed.ready, reading, signal);
    await this.#play(talk, signal, asked, first, reading);
  }

  /** What is kept of a prediction, once it has ended. */
  async #kept(prediction: Prediction, signal: AbortSignal, asked: number): Promise<void> {
    let found = prediction;
    while (!['succeeded', 'failed', 'canceled', 'aborted'].includes(found.status)) {
      await new Promise((resolve) => setTimeout(resolve, POLL));
      signal.throwIfAborted();
      const answer = await this.fetch(found.urls.get, { signal });
      if (!answer.ok) throw await problem(answer);
      found = await answer.json() as Prediction;
    }
    if (found.status !== 'succeeded') throw new Failure('failed', found.error || 'It was canceled.');
    if (!found.output) {
      this.#say(found.text ?? '', true);
      throw new Failure('text_only', 'No voice just now. The answer is written.');
    }
    const words = found.captions ? await captions(found.captions, signal) : [];
    signal.throwIfAborted(); // something else is said by now
    this.#words = words;
    const talk = this.#other();
    const first = presented(talk);
    talk.src = found.output;
    if (found.degraded?.delivered === 'voice') {
      await this.#play(talk, signal, asked, first, undefined, true);
      throw new Failure('voice_only', 'No picture just now. The answer was spoken.');
    }
    await this.#play(talk, signal, asked, first);
  }

  /** Until its end. asked: when, for the time to the first frame. */
  async #play(talk: HTMLVideoElement, signal: AbortSignal, asked: number, first: Promise<void>, arriving?: Promise<void>, voice = false): Promise<void> {
    talk.muted = this.muted;
    const ended = new Promise<void>((resolve, reject) => {
      const options = { signal };
      talk.addEventListener('ended', () => resolve(), options);
      talk.addEventListener('error', () => reject(new Failure('decode', UNDECODABLE)), options);
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
      arriving?.catch(reject);
    });
    ended.catch(() => undefined);
    try {
      await talk.play();
    } catch (error) {
      if ((error as DOMException).name === 'NotSupportedError') throw new Failure('decode', UNDECODABLE);
      if ((error as DOMException).name !== 'NotAllowedError') throw error;
      await this.#offer(talk, signal);
    }
    if (!voice) {
      await Promise.race([first, ended]);
      signal.throwIfAborted();
      this.dispatchEvent(new CustomEvent('firstframe', { detail: { ms: Math.round(performance.now() - asked) } }));
      this.#become('speaking');
      void this.#show(talk, true);
    }
    this.#become('speaking');
    const watching = setInterval(() => this.#watch(talk), 40);
    try {
      await ended;
    } finally {
      clearInterval(watching);
      this.#captionAt(-1);
    }
  }

  /** A browser that plays no sound before a person has asked for it. */
  async #offer(talk: HTMLVideoElement, signal: AbortSignal, text = `${this.getAttribute('label') ?? 'It'} is ready.`, label = 'Play with sound'): Promise<void> {
    const button = document.createElement('button');
    button.textContent = label;
    this.#notice.replaceChildren(text, button);
    this.#become('ready');
    await new Promise<void>((resolve, reject) => {
      button.addEventListener('click', () => talk.play().then(resolve, () => reject(new Failure('autoplay', 'The browser plays no sound here.'))), { signal });
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
    });
    this.#say('');
  }

  #moved = { at: 0, time: -1 };
  /** Captions by the media's clock; and whether new frames still come. */
  #watch(talk: HTMLVideoElement): void {
    const now = performance.now();
    if (talk.currentTime !== this.#moved.time) {
      this.#moved = { at: now, time: talk.currentTime };
      if (this.#state === 'stalled') { this.#become('speaking'); this.#say(''); }
    } else if (talk.paused && !talk.ended && this.#state === 'speaking') { // by a key, a call, unplugged headphones
      this.#moved = { at: now, time: -1 };
      void this.#offer(talk, this.#current!.signal, 'Paused.', 'Go on').then(() => this.#become('speaking'), () => undefined);
    } else if (this.#state !== 'ready' && !talk.ended && !document.hidden && now - this.#moved.at > 200) {
      this.#feed?.recover();
      if (now - this.#moved.at > STALLED && this.#state === 'speaking') {
        this.#become('stalled');
        this.#say('Waiting for the connection');
      }
    }
    this.#captionAt(talk.currentTime);
  }

  #captionAt(time: number): void {
    const line = lineAt(this.#words, time);
    const text = line.map((word) => word.text).join(' ');
    if (!line.length) return this.#caption.replaceChildren();
    const span = document.createElement('span');
    for (const word of line) {
      const spoken = time >= word.start && time < word.end + 0.12;
      const node = spoken ? document.createElement('b') : document.createTextNode('');
      node.textContent = word.text;
      span.append(node, ' ');
    }
    if (this.#caption.textContent !== span.textContent) this.dispatchEvent(new CustomEvent('caption', { detail: { text } }));
    this.#caption.replaceChildren(span);
  }

  /** The upper of two pictures fades; the lower one stays until a frame of the upper was presented. */
  async #show(video: HTMLVideoElement, presentedAlready = false): Promise<void> {
    if (video !== this.#talk || video.paused) {
      if (!video.currentSrc && !video.src) return;
      video.currentTime = 0;
      await video.play().catch(() => undefined);
    }
    if (matchMedia('(prefers-reduced-motion: reduce)').matches && video.classList.contains('loop')) return;
    if (!presentedAlready && !await soon(presented(video)) || !this.#wanted(video)) return;
    video.classList.add('fade', 'shown');
    await new Promise((resolve) => setTimeout(resolve, FADE + 40));
    if (!this.#wanted(video)) return;
    for (const other of [this.#thinking, ...this.#talks]) {
      if (other === video) continue;
      if (under(other, video)) conceal(other);
      else other.classList.remove('shown'); // what was interrupted fades away over it
    }
  }

  #wanted(video: HTMLVideoElement): boolean {
    return video === this.#talk ? this.#state === 'speaking' || this.#state === 'stalled' : video === this.#thinking ? this.#state === 'thinking' : this.#state === 'idle';
  }

  /** Back to idle: it begins in the pose in which every talk ends, under the last frame of the talk. */
  async #rest(): Promise<void> {
    this.#become('idle');
    if (this.#idle.src) {
      this.#idle.currentTime = 0;
      const plays = await this.#idle.play().then(() => true, () => false);
      // One that cannot be had is no reason to wait: the poster is there.
      if (plays && !matchMedia('(prefers-reduced-motion: reduce)').matches && await soon(presented(this.#idle))) {
        this.#idle.classList.add('shown');
      }
    }
    if (this.#state !== 'idle') return;
    const upper = [this.#thinking, ...this.#talks].filter((video) => video.classList.contains('shown'));
    for (const video of upper) { video.classList.add('fade'); video.classList.remove('shown'); }
    await new Promise((resolve) => setTimeout(resolve, FADE + 40));
    if (this.#state !== 'idle') return;
    this.#thinking.pause();
    for (const talk of this.#talks) detach(talk);
  }

  #hush(keep?: AbortController): void {
    this.#talk.muted = true;
    this.#talk.pause();
    if (this.#current && this.#current !== keep) this.#current.abort();
    this.#feed?.close();
    this.#feed = undefined;
    this.#captionAt(-1);
    this.#say('');
  }

  /** The talk element that is free: the other one still shows its last frame. */
  #other(): HTMLVideoElement {
    this.#talk = this.#talks.find((one) => one !== this.#talk)!;
    conceal(this.#talk);
    detach(this.#talk);
    this.shadowRoot!.insertBefore(this.#talk, this.shadowRoot!.querySelector('.below'));
    return this.#talk;
  }

  #load(video: HTMLVideoElement, src: string | null): void {
    conceal(video);
    if (!src) return detach(video);
    video.src = src;
    if (video === this.#idle && this.#state === 'idle' && this.isConnected) void this.#rest();
  }

  #become(state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#label();
    this.dispatchEvent(new CustomEvent('state', { detail: { state } }));
  }

  #label(): void {
    const doing = { idle: 'listening', thinking: 'thinking', ready: 'ready to talk', speaking: 'talking', stalled: 'waiting' }[this.#state];
    for (const talk of this.#talks) talk.ariaLabel = `${this.getAttribute('label') ?? 'Persona'}, ${doing}`;
  }

  #say(text: string, written = false): void {
    this.#notice.textContent = written ? '' : text;
    if (written) this.#caption.textContent = text;
  }

  #upgrade(name: 'fetch' | 'muted'): void {
    if (!Object.hasOwn(this, name)) return;
    const value = this[name];
    delete (this as Partial<this>)[name];
    Object.assign(this, { [name]: value });
  }

  #onVisible = (): void => {
    if (document.hidden || this.#state !== 'idle') return;
    void this.#idle.play().catch(() => undefined);
  };
}

function loop(): HTMLVideoElement {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, loop: true, playsInline: true, preload: 'auto', className: 'loop' });
  video.setAttribute('muted', '');
  video.disableRemotePlayback = true;
  return video;
}

function talkElement(): HTMLVideoElement {
  const video = document.createElement('video');
  Object.assign(video, { playsInline: true, preload: 'auto' });
  return video;
}

function part(name: string): HTMLDivElement {
  const element = document.createElement('div');
  element.className = name;
  element.part.add(name);
  return element;
}

/** Resolves when the browser has shown a frame; where it cannot say so, when the clock has moved. */
function presented(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve) => {
    if (document.hidden || !video.requestVideoFrameCallback) {
      if (video.currentTime > 0 && video.readyState >= 2) return resolve();
      video.addEventListener('timeupdate', () => resolve(), { once: true });
    } else video.requestVideoFrameCallback(() => resolve());
  });
}

const under = (one: Element, other: Element): boolean =>
  Boolean(one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);

function conceal(video: HTMLVideoElement): void { video.classList.remove('fade', 'shown'); }

function detach(video: HTMLVideoElement): void {
  if (!video.src && !video.srcObject) return;
  video.pause();
  video.removeAttribute('src');
  video.srcObject = null;
  video.load();
}

/** The words of the caption at a second: as many as fit, not over the end of a sentence. */
export function lineAt(words: Word[], time: number): Word[] {
  let line: Word[] = [], length = 0;
  for (const word of words) {
    const last = line.at(-1);
    if (last && (length + word.text.length > LINE || /[.!?…]["”’)]*$/.test(last.text))) {
      if (time < word.start) break;
      line = [];
      length = 0;
    }
    line.push(word);
    length += word.text.length + 1;
  }
  const first = line[0], last = line.at(-1);
  return first && last && time >= first.start - 0.1 && time <= last.end + 0.8 ? line : [];
}

/** Whether it happened within a second. */
const soon = (work: Promise<void>): Promise<boolean> =>
  Promise.race([work.then(() => true), new Promise<boolean>((resolve) => { setTimeout(resolve, 1000, false); })]);

async function until(ready: () => boolean, arriving: Promise<void>, signal: AbortSignal): Promise<void> {
  let failure: unknown, ended = 0;
  arriving.then(() => { ended = performance.now(); }, (error: unknown) => { failure = error ?? new Error(); });
  while (!ready()) {
    if (failure) throw failure;
    if (ended && performance.now() - ended > 1000) throw new Failure('stalled', 'The stream ended without a picture.');
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => { timer = setTimeout(() => reject(new Failure('stalled', 'The stream stalled.')), ms); });
  try { return await Promise.race([work, late]); } finally { clearTimeout(timer); }
}

async function problem(answer: Response): Promise<Failure> {
  const found = await answer.json().catch(() => ({})) as { code?: string; detail?: string };
  return new Failure(found.code ?? 'http', found.detail ?? `The backend answered ${answer.status}.`);
}

/** The cues of a WebVTT file; each is one word or a few. */
async function captions(url: string, signal: AbortSignal): Promise<Word[]> {
  const answer = await globalThis.fetch(url, { signal }).catch(() => undefined);
  if (!answer?.ok) return [];
  const seconds = (text: string): number => text.split(':').reduce((sum, one) => sum * 60 + Number(one), 0);
  return (await answer.text()).split(/\n\n+/).flatMap((block) => {
    const match = /([\d:.]+) --> ([\d:.]+).*\n([\s\S]+)/.exec(block);
    return match ? [{ start: seconds(match[1]!), end: seconds(match[2]!), text: match[3]!.replace(/\n/g, ' ').trim() }] : [];
  });
}

if (globalThis.customElements && !customElements.get('persona-video')) customElements.define('persona-video', PersonaVideo);
declare global {
  interface HTMLElementTagNameMap { 'persona-video': PersonaVideo }
}
