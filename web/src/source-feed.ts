/** Feeds a video element through Media Source Extensions, also where the browser evicts at will. */

import type { Segment } from './mp4-stream.js';

const AHEAD = 0.24; // seconds in hand before the first frame plays: three fragments, so that a slow one is not seen
const NEAR = 0.15; // seconds before the end of what is buffered, where browsers stop already
const NUDGE = 0.04; // seconds: a frame
const GAP = 0.3; // seconds: a hole that is jumped over instead of waited for

type Source = MediaSource & { endOfStream(reason?: string): void };
declare global {
  interface Window { ManagedMediaSource?: typeof MediaSource }
}

/** iPhones have ManagedMediaSource alone. */
export const sourceClass = (): typeof MediaSource | undefined => self.MediaSource ?? window.ManagedMediaSource;

export class SourceFeed {
  #source: Source;
  #buffer: SourceBuffer | undefined;
  #kept: Segment[] = []; // everything that may have to be appended again
  #queue: Segment[] = [];
  #whole = false;
  #closed = false;
  #opened: Promise<void>;

  constructor(private readonly video: HTMLVideoElement, private readonly type: string) {
    const Class = sourceClass()!;
    this.#source = new Class() as Source;
    this.#opened = new Promise((resolve) => this.#source.addEventListener('sourceopen', () => resolve(), { once: true }));
    video.disableRemotePlayback = true; // without it a managed source never opens
    if (Class === self.MediaSource) {
      const url = URL.createObjectURL(this.#source);
      video.src = url;
      void this.#opened.then(() => URL.revokeObjectURL(url));
    } else {
      video.srcObject = this.#source;
    }
  }

  async open(): Promise<void> {
    await this.#opened;
    if (this.#closed) return;
    this.#buffer = this.#source.addSourceBuffer(this.type);
    this.#buffer.addEventListener('updateend', () => this.#pump());
    this.#pump();
  }

  append(segments: Segment[]): void {
    this.#kept.push(...segments);
    this.#queue.push(...segments);
    this.#pump();
  }

  /** Nothing more will come. */
  end(): void {
    this.#whole = true;
    this.#pump();
  }

  /** Whether enough is there to begin to play. */
  get ready(): boolean {
    const buffered = this.#buffer?.buffered;
    return Boolean(buffered?.length) && (this.#whole || buffered!.end(buffered!.length - 1) - this.video.currentTime >= AHEAD);
  }

  /** Go on after a stop: over a hole, or with what was evicted. Returns whether anything could be done. */
  recover(): boolean {
    const buffered = this.video.buffered, now = this.video.currentTime;
    for (let n = 0; n < buffered.length; n++) {
      if (now >= buffered.start(n) - 0.01 && now < buffered.end(n) - NEAR) {
        if (this.video.readyState > this.video.HAVE_CURRENT_DATA || this.video.seeking) return false;
        this.video.currentTime = now + NUDGE; // it waits for what was evicted behind its back; a seek has it look again
        return true;
      }
      const ahead = buffered.start(n) - now;
      if (ahead > 0 && ahead <= GAP) { this.video.currentTime = buffered.start(n) + 0.001; return true; }
    }
    const again = this.#kept.filter((one) => one.end === 0 || one.end > now);
    if (this.#queue.length || again.length < 2) return false;
    this.#queue = again;
    this.#pump();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#kept = [];
    if (this.#source.readyState === 'open') try { this.#source.endOfStream(); } catch { /* it was updating */ }
  }

  #pump(): void {
    const buffer = this.#buffer;
    if (!buffer || buffer.updating || this.#closed || this.#source.readyState === 'closed') return;
    const next = this.#queue[0];
    if (!next) {
      if (this.#whole && this.#source.readyState === 'open') this.#source.endOfStream();
      return;
    }
    try {
      buffer.appendBuffer(next.data as BufferSource);
      this.#queue.shift();
    } catch (error) {
      if ((error as DOMException).name !== 'QuotaExceededError') throw error;
      const played = this.video.currentTime - 2;
      if (played > 0) buffer.remove(0, played);
      else setTimeout(() => this.#pump(), 500);
    }
  }
}
