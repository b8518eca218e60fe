/** A talk's bytes as they are made: as a video, or as events where something on the way holds videos back. */

const AT_ONCE = 100; // ms within which all of a talk came: something on the way had collected it
const LATE = 1000; // ms without a byte before that
const LONG = 2; // seconds: shorter talks come at once anyway
const KEY = 'personaforge-events'; // of localStorage: by origin, until when (ms) its talks are asked for as events
const KEPT = 24 * 3600 * 1000; // ms; then a plain video is tried again

const read = (): Record<string, number> => { try { return JSON.parse(localStorage.getItem(KEY) ?? '{}'); } catch { return {}; } };

/** The video's bytes out of server-sent events, where they are base64 in those called `media`. */
function mediaOfEvents(): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  const decoder = new TextDecoder();
  let text = '';
  return new TransformStream({
    transform(bytes, out) {
      const events = (text + decoder.decode(bytes, { stream: true })).split('\n\n');
      text = events.pop()!;
      for (const event of events) {
        const data = /^event: media\ndata: (.*)$/.exec(event)?.[1];
        if (data) out.enqueue(Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)));
      }
    },
  });
}

export class TalkStream {
  #sent = performance.now();
  #first = 0;
  #origin: string;
  /** Whether its next talk comes as events: the last one was collected on the way. */
  readonly events: boolean;

  constructor(private readonly url: string) {
    this.#origin = new URL(url, location.href).origin;
    this.events = (read()[this.#origin] ?? 0) > Date.now();
  }

  async open(get: typeof fetch, signal: AbortSignal): Promise<Response> {
    if (!this.events) return get(this.url, { signal });
    return get(`${this.url}${this.url.includes('?') ? '&' : '?'}media=true`, { signal, headers: { Accept: 'text/event-stream' } });
  }

  reader(answer: Response): ReadableStreamDefaultReader<Uint8Array> {
    const events = answer.headers.get('content-type')?.startsWith('text/event-stream');
    return (events ? answer.body!.pipeThrough(mediaOfEvents()) : answer.body!).getReader();
  }

  /** Bytes have come. */
  received(): void { this.#first ||= performance.now(); }

  /** All of it has come: so many seconds of video. */
  ended(seconds: number): void {
    const now = performance.now();
    if (this.events || seconds < LONG || now - this.#first > AT_ONCE || this.#first - this.#sent < LATE) return;
    try { localStorage.setItem(KEY, JSON.stringify({ ...read(), [this.#origin]: Date.now() + KEPT })); } catch { /* nothing may be kept here */ }
  }
}
