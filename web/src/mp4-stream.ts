/** A fragmented MP4 as it arrives, cut into its parts: what a SourceBuffer takes, and the words that come between. */

export interface Word { text: string; start: number; end: number }
/** data: an initialization segment (start 0, end 0) or a fragment with its time in seconds. */
export interface Segment { data: Uint8Array; start: number; end: number }

const WORDS = 'urn:personaforge:words';
const TIMESCALE = 12_800; // of the video track; see shared/media/video.py
const FRAGMENT = 0.08; // seconds: two frames

export class Mp4Stream {
  #rest = new Uint8Array(0);
  #head: Uint8Array[] = [];
  #open: { parts: Uint8Array[]; start: number } | undefined;

  constructor(private readonly onWords: (words: Word[]) => void) {}

  /** What is complete after these bytes, in order. */
  push(bytes: Uint8Array): Segment[] {
    const data = new Uint8Array(this.#rest.length + bytes.length);
    data.set(this.#rest);
    data.set(bytes, this.#rest.length);
    const segments: Segment[] = [];
    let at = 0;
    while (data.length - at >= 8) {
      const view = new DataView(data.buffer, at);
      const size = view.getUint32(0);
      if (size < 8) throw new DOMException('not an MP4', 'DataError');
      if (data.length - at < size) break;
      const box = data.slice(at, at + size);
      const segment = this.#box(String.fromCharCode(...box.subarray(4, 8)), box);
      if (segment) segments.push(segment);
      at += size;
    }
    this.#rest = data.slice(at);
    return segments;
  }

  #box(type: string, box: Uint8Array): Segment | undefined {
    if (type === 'emsg') this.#words(box);
    else if (type === 'ftyp') this.#head = [box];
    else if (type === 'moov') return { data: join([...this.#head, box]), start: 0, end: 0 };
    else if (type === 'moof') this.#open = { parts: [box], start: time(box) };
    else if (type === 'mdat' && this.#open) {
      const { parts, start } = this.#open;
      this.#open = undefined;
      return { data: join([...parts, box]), start, end: start + FRAGMENT };
    }
    return undefined;
  }

  #words(box: Uint8Array): void {
    const text = new TextDecoder().decode(box.subarray(32));
    const [scheme, , body] = text.split('\0');
    if (scheme !== WORDS || !body) return;
    this.onWords((JSON.parse(body) as [string, number, number][]).map(([word, start, end]) => ({ text: word, start, end })));
  }
}

/** Of a fragment's first picture, in seconds. The video's track is named first. */
function time(moof: Uint8Array): number {
  for (let at = 8; at + 16 <= moof.length; at++) {
    if (moof[at] === 0x74 && moof[at + 1] === 0x66 && moof[at + 2] === 0x64 && moof[at + 3] === 0x74) {
      return Number(new DataView(moof.buffer, moof.byteOffset + at + 8).getBigUint64(0)) / TIMESCALE;
    }
  }
  return 0;
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}
