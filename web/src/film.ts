/** What a film is shown by: its stages, its scripts side by side, and the film beside its report. */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { components } from './openapi.js';
import { clock, icon } from './view.js';

export type Project = components['schemas']['ProjectResponse'];
export type Script = components['schemas']['Script'];
export type History = components['schemas']['History'];
interface Shot { number: number; kind: string; text: string; footage: string; first: number; last: number }
interface Check { name: string; passed: boolean; measured: string; limit: string }

export const STAGES = ['Scripts', 'Choose', 'Voice', 'Shots', 'Footage', 'Film', 'Approve', 'Publish'];
const PLACE: Record<string, number> = { scripts: 0, voice: 2, shots: 3, footage: 4, film: 5, thumbnails: 5, review: 6, publish: 7 };
const SHAPES: Record<string, string> = { wide: '16:9, YouTube', tall: '9:16, Shorts', square: '1:1, square' };
const FPS = 30;

/** The stage where a project is; as many as there are when it is done. */
export function place(project: Project): number {
  if (project.status === 'succeeded') return STAGES.length;
  if (project.waiting_for === 'script') return 1;
  return PLACE[project.stage] ?? 0;
}

/** Of the step that runs, 0 to 1. */
export const share = (project: Project): number => Number(/^(\d+)%/.exec(project.progress)?.[1] ?? 0) / 100;

/** What it waits for, in words. */
export function doing(project: Project): string {
  if (project.status === 'succeeded') return 'Approved';
  if (project.status === 'canceled') return 'Stopped by you';
  if (project.status === 'failed') return project.error ? String(project.error['detail']) : 'Stopped';
  if (project.waiting_for === 'credits') return String(project.error?.['detail'] ?? 'Waits for credits.');
  if (project.waiting_for === 'script') return 'Choose a script: three are ready';
  if (project.waiting_for === 'film') return 'Watch the film and decide';
  const frames = /\| (\d+)\/(\d+) frames/.exec(project.progress);
  const step = `${STAGES[place(project)]}, step ${place(project) + 1} of ${STAGES.length}`;
  const told = /^(?:\d+%\|)?([^|#]+)\n?$/.exec(project.progress)?.[1];
  if (project.stage === 'publish' && told) return `${told.trim()}.`;
  if (frames) return `Film, frame ${Number(frames[1]).toLocaleString('en')} of ${Number(frames[2]).toLocaleString('en')}`;
  return project.error ? `${step}. ${String(project.error['detail'])} It is tried again by itself.` : step;
}

export function segments(project: Project, named = false): TemplateResult {
  const here = place(project), waits = project.status === 'waiting', stopped = ['failed', 'canceled'].includes(project.status);
  return html`<ol class=${named ? 'segments named' : 'segments'} aria-label=${`Step ${Math.min(here + 1, STAGES.length)} of ${STAGES.length}`}>${STAGES.map((name, at) => {
    const state = at < here ? 'done' : at > here ? '' : stopped ? 'failed' : waits ? 'waits' : 'now';
    return html`<li class=${state}>${state === 'now' && share(project) ? html`<meter min="0" max="1" .value=${share(project)} aria-label="Of this step"></meter>` : nothing}${named ? html`<span>${name}</span>` : nothing}</li>`;
  })}</ol>`;
}

export interface Choice { chosen: string; edits: Edits; writing: boolean; choose(id: string): void; changed: boolean; showChanges(on: boolean): void }

/** The sentences of scripts as a person has edited them, kept for the tab: a reload loses nothing. */
export class Edits {
  #kept: Record<string, string[]>;
  constructor(private readonly key: string, private readonly told: () => void) { this.#kept = JSON.parse(sessionStorage.getItem(key) ?? '{}') as Record<string, string[]>; }
  of(id: string): string[] | undefined { return this.#kept[id]; }
  set(id: string, sentences: string[] | undefined): void {
    if (sentences) this.#kept[id] = sentences; else delete this.#kept[id];
    sessionStorage.setItem(this.key, JSON.stringify(this.#kept));
    this.told();
  }
  /** To be sent; undefined where nobody has edited. */
  sent(id: string): string[] | undefined { return this.#kept[id]?.map((one) => one.trim()).filter(Boolean); }
}

const RANKS = ['', '1st', '2nd', '3rd'];

/** Three at a desk, one after the other by hand on a phone. */
export function scripts(found: Script[], choice: Choice): TemplateResult {
  return html`
    <p class="quiet changes">${found.length && found.every((one) => one.rank) ? 'Final order' : choice.writing ? `${found.length} of 3 are written; the order may change` : ''}
      <label class="consent"><input type="checkbox" .checked=${choice.changed} @change=${(event: Event) => choice.showChanges((event.target as HTMLInputElement).checked)}> Show what changed</label></p>
    <div class="scripts" role="radiogroup" aria-label="Scripts">${repeat(found, (one) => one.id, (one) => script(one, choice))}${Array.from({ length: choice.writing ? Math.max(0, 3 - found.length) : 0 }, (_, at) => html`<article class="card script quiet">Script ${found.length + at + 1} of 3, drafting</article>`)}</div>`;
}

function script(one: Script, choice: Choice): TemplateResult {
  const rank = one.rank ? RANKS[one.rank] ?? `${one.rank}th` : '', tie = one.tied_with?.length ? ', tie' : '';
  const { edits } = choice, now = edits.of(one.id);
  return html`<article class=${one.id === choice.chosen ? 'card script chosen' : 'card script'}>
    <label><span class="row"><span><input type="radio" name="script" .checked=${one.id === choice.chosen} @change=${() => choice.choose(one.id)} aria-label=${one.title}> ${rank ? html`<span class="tag">${rank}${tie}</span>` : nothing}</span>${one.score ? html`<b class="score">${one.score.toFixed(1)}</b>` : nothing}</span>
      <b class="title" dir="auto">${one.title}</b></label>
    <p class="quiet" dir="auto">${one.differs}</p>
    <p class="quiet">${one.words} words · about ${clock(one.seconds)}</p>
    ${one.points?.length ? html`<dl class="points">${one.points.map((point) => html`<div><dt>${point.point}</dt><dd aria-label=${`${point.score} of 5`}>${Array.from({ length: 5 }, (_, at) => html`<i class=${at < point.score ? 'on' : ''}></i>`)} ${point.score}</dd><dd class="quiet" dir="auto">${point.reason}</dd></div>`)}</dl>` : nothing}
    ${one.facts?.map((fact) => html`<p class="warning">This script ${fact}.</p>`)}
    ${now
      ? html`<div class="sentences">${now.map((text, at) => html`<textarea rows="2" dir="auto" maxlength="600" aria-label=${`Sentence ${at + 1}`} .value=${text} @input=${(event: Event) => edits.set(one.id, now.with(at, (event.target as HTMLTextAreaElement).value))}></textarea>`)}</div>`
      : html`<div class="said">${choice.changed && one.draft?.length ? html`<p dir="auto">${changes(one.draft.join(' '), one.sentences.map((sentence) => sentence.text).join(' '))}</p>` : one.sentences.map((sentence) => html`<p dir="auto">${sentence.text}</p>`)}</div>`}
    ${one.rank_before && one.rank_before !== one.rank ? html`<p class="quiet">${RANKS[one.rank_before] ?? `${one.rank_before}th`} by the judge alone. ${one.learned?.join(' ')}</p>` : nothing}
    ${one.rank ? html`<p class="buttons"><button type="button" class="small" @click=${() => { edits.set(one.id, now ? undefined : one.sentences.map((sentence) => sentence.text)); choice.choose(one.id); }}>${now ? 'Leave it as it was' : 'Edit'}</button></p>` : nothing}
  </article>`;
}

/** Word by word: what was taken out and what came in. */
function changes(before: string, after: string): TemplateResult[] {
  const a = before.split(/\s+/), b = after.split(/\s+/);
  const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) longest[i]![j] = a[i] === b[j] ? longest[i + 1]![j + 1]! + 1 : Math.max(longest[i + 1]![j]!, longest[i]![j + 1]!);
  const parts: { kind: string; words: string[] }[] = [];
  const add = (kind: string, word: string): void => { const last = parts.at(-1); if (last?.kind === kind) last.words.push(word); else parts.push({ kind, words: [word] }); };
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add('', b[j]!); i++; j++; }
    else if (j < b.length && (i === a.length || longest[i]![j + 1]! >= longest[i + 1]![j]!)) add('ins', b[j++]!);
    else add('del', a[i++]!);
  }
  return parts.map(({ kind, words }) => kind === 'ins' ? html`<ins>${words.join(' ')}</ins> ` : kind === 'del' ? html`<del>${words.join(' ')}</del> ` : html`${words.join(' ')} `);
}

const NAMES: Record<string, string> = {
  decodes: 'Every frame decodes', length: 'Length', picture: 'Size and colours', black: 'Black parts', frozen: 'Frozen parts', silence: 'Silent parts',
  loudness: 'Loudness', peak: 'Peaks', clipping: 'Clipped sound', bars: 'Bars', flashing: 'Flashes', drift: 'Sound and picture together',
  'index first': 'Starts while it loads', 'edit list': 'No edit list', captions: 'Captions', 'safe area': 'Captions clear of buttons', 'reading speed': 'Reading speed',
  credits: 'Footage credits', provenance: 'Signed as AI-generated',
};
const OPEN = 9;

/** The report of one shape: what failed first, nine lines open. */
export function quality(project: Project, shape: string): TemplateResult | typeof nothing {
  const report = (project.films[shape]?.report ?? []) as unknown as Check[];
  const sorted = [...report.filter((one) => !one.passed), ...report.filter((one) => one.passed)], failed = report.filter((one) => !one.passed).length, open = Math.max(OPEN, failed);
  const line = (one: Check): TemplateResult => html`<li class=${one.passed ? '' : 'failed'}><b>${one.passed ? '✓' : '!'} ${NAMES[one.name] ?? one.name}</b><span class="quiet">${one.measured || (one.passed ? 'as it should be' : 'not as it should be')}${one.passed && one.limit === one.measured ? '' : ` (${one.limit})`}</span></li>`;
  if (!report.length) return nothing;
  return html`<section class="card quality" aria-label="Quality check"><header><h2>Quality check</h2>${failed ? html`<span class="tag warn">${failed} to look at</span>` : nothing}</header>
    <p class="quiet">${report.length} checks on the finished file, ${report.length - failed} passed.</p>
    <ul>${sorted.slice(0, open).map(line)}</ul>
    ${sorted.length > open ? html`<details><summary>${sorted.length - open} more that passed</summary><ul>${sorted.slice(open).map(line)}</ul></details>` : nothing}</section>`;
}

/** All shapes at one height, played together; sound from the first. */
export function films(project: Project, shape: string, pick: (shape: string) => void): TemplateResult {
  const follow = (event: Event): void => {
    const source = event.target as HTMLVideoElement;
    for (const other of source.closest('.films')!.querySelectorAll('video')) {
      if (other === source) continue;
      other.muted = true;
      if (event.type === 'play') void other.play().catch(() => undefined);
      else if (event.type === 'pause') other.pause();
      else other.currentTime = source.currentTime;
    }
  };
  return html`<div class="films">${(project.input.shapes ?? []).flatMap((name) => { const film = project.films[name]; return film ? [[name, film] as const] : []; }).map(([name, film], at) => html`<figure class=${name}><div class="player">
      <video ?controls=${at === 0} playsinline preload="metadata" crossorigin="anonymous" src=${film.video} .muted=${at > 0} aria-label=${`The film, ${SHAPES[name]}`} @play=${at ? nothing : follow} @pause=${at ? nothing : follow} @seeked=${at ? nothing : follow}><track kind="captions" srclang="en" label="Captions" src=${film.captions}></video>
      <span class="chip label">AI-generated</span></div>
      <figcaption><button type="button" class="text" aria-pressed=${name === shape} @click=${() => pick(name)}>${SHAPES[name]}</button> <a class="text" href=${film.video} target="_blank" rel="noreferrer">Download</a></figcaption></figure>`)}</div>`;
}

/** Each shot with the sentence that it belongs to. */
export function shots(history: History | undefined, project: Project, seek: (second: number) => void): TemplateResult | typeof nothing {
  const of = (stage: string) => history?.steps.filter((one) => one.stage === stage && one.key.split('/')[0] === String(project.round)) ?? [];
  const planned = (of('shots')[0]?.result ?? []) as unknown as Shot[];
  if (!planned.length) return nothing;
  const lines = new Map(of('footage').map((one) => [one.key.split('/')[1], one.result as Record<string, unknown> | null]));
  const kind = (shot: Shot): TemplateResult => {
    const line = lines.get(`shot-${shot.number}`);
    if (shot.kind !== 'clip') return html`<span class="tag">Persona</span>`;
    if (!line) return html`<span class="tag">Footage</span>`;
    return 'id' in line ? html`<span class="tag">${String(line['author'])}</span>` : html`<span class="tag warn">No match</span><span class="quiet">We looked for: ${shot.footage}.</span>`;
  };
  const clips = [...lines.values()].filter((one) => one && 'id' in one).length;
  return html`<section><header class="row"><h2>Shots</h2><span class="quiet">each belongs to one sentence · ${planned.length} shots, ${clips} clips</span></header>
    <ol class="shots">${planned.map((shot) => html`<li><button type="button" ?disabled=${!Object.keys(project.films).length} @click=${() => seek(shot.first / FPS)}>${icon('play')} ${((shot.last - shot.first) / FPS).toFixed(1)} s</button>${kind(shot)}<span dir="auto">${shot.text}</span></li>`)}</ol></section>`;
}
