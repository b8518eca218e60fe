/** One film: its scripts to choose from, what is being made, the film beside its report. */

import { html, nothing, type TemplateResult } from 'lit';
import { doing, Edits, films, place, quality, scripts, segments, share, shots, STAGES, type Choice, type History, type Project } from './film.js';
import './publish-form.js';
import type { PublishForm } from './publish-form.js';
import { api, body, Problem } from './session.js';
import { link, View } from './view.js';

const SOON = 1500, LATER = 6000; // ms between two looks, while it is worked on and while it waits
const ENDED = ['succeeded', 'failed', 'canceled'];

export class ProjectPage extends View {
  static override properties = { project: { attribute: false }, found: { state: true }, history: { state: true }, refusal: { state: true }, unreachable: { state: true }, chosen: { state: true }, changed: { state: true }, shape: { state: true }, asking: { state: true }, sending: { state: true }, url: { state: true } };
  declare project: string;
  declare found: Project | undefined;
  declare history: History | undefined;
  declare refusal: string; // of what was tried here
  declare unreachable: string; // of the last look
  declare chosen: string;
  declare changed: boolean;
  declare shape: string;
  declare asking: '' | 'note' | 'stop' | 'faulty';
  declare sending: boolean;
  declare url: string;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #looks = 0;
  #told = '';
  #edits: Edits | undefined;

  constructor() {
    super();
    Object.assign(this, { refusal: '', unreachable: '', chosen: '', changed: false, shape: '', asking: '', sending: false, url: '' });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#edits = new Edits(`edits-${this.project}`, () => this.requestUpdate());
    void this.#look();
  }

  override disconnectedCallback(): void { super.disconnectedCallback(); clearTimeout(this.#looking); }

  get #params() { return { params: { path: { project: this.project } } }; }

  async #look(): Promise<void> {
    clearTimeout(this.#looking);
    const look = ++this.#looks;
    try {
      const found = await body(api.GET('/v1/projects/{project}', this.#params));
      if (look !== this.#looks) return; // something was done meanwhile
      if (found.scripts.every((one) => one.id !== this.chosen)) this.chosen = found.scripts.find((one) => one.rank === 1)?.id ?? '';
      this.shape ||= found.input.shapes?.[0] ?? '';
      const state = `${found.status} ${found.stage} ${found.round}`;
      if (state !== this.#told || ['footage', 'film'].includes(found.stage)) this.history = await body(api.GET('/v1/projects/{project}/history', this.#params));
      if (look !== this.#looks) return;
      this.#told = state;
      // Another container signs the same file anew: a film that is watched keeps its address.
      for (const [shape, film] of Object.entries(found.films)) {
        const before = this.found?.films[shape];
        if (before && same(before.video, film.video)) Object.assign(film, { video: before.video, captions: before.captions });
      }
      this.found = found;
      this.unreachable = '';
    } catch (error) {
      this.unreachable = (error as Error).message;
      if (error instanceof Problem && error.status >= 400 && error.status < 500) return; // it is not there
    }
    if (!this.isConnected || ENDED.includes(this.found?.status ?? '')) return;
    this.#looking = setTimeout(() => void this.#look(), this.found?.status === 'waiting' ? LATER : SOON);
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    this.#looks += 1; // what is on its way is from before
    try {
      await work();
      this.refusal = '';
      this.asking = '';
    } catch (error) { this.refusal = (error as Error).message; } finally { this.sending = false; }
    this.dispatchEvent(new CustomEvent('account', { bubbles: true }));
    await this.#look();
  }

  get #form(): PublishForm | null { return this.querySelector<PublishForm>('publish-form'); }

  get #note(): string { return `note-${this.project}`; }

  #approve(): Promise<void> {
    const found = this.found!, script = found.waiting_for === 'script' ? this.chosen : undefined;
    const failed = Object.values(found.films).some((film) => film.report.some((one) => !one['passed']));
    if (found.waiting_for === 'film' && failed && this.asking !== 'faulty') { this.asking = 'faulty'; return Promise.resolve(); }
    const sentences = script ? this.#edits!.sent(script) : undefined;
    return this.#do(async () => {
      const publish = script ? undefined : this.#form?.wanted();
      this.#stands(await body(api.POST('/v1/projects/{project}/approve', { ...this.#params, body: { round: found.round, script, sentences, publish } })));
    });
  }

  #reject(): Promise<void> | void {
    const note = (sessionStorage.getItem(this.#note) ?? '').trim();
    if (!note) { this.refusal = 'What should be different? Say it in a sentence.'; return; }
    return this.#do(async () => {
      this.#stands(await body(api.POST('/v1/projects/{project}/reject', { ...this.#params, body: { round: this.found!.round, note } })));
      sessionStorage.removeItem(this.#note);
    });
  }

  #stands(one: { first: boolean; decision: { decision: string; created_at: string } }): void {
    if (!one.first) throw new Error(`Somebody has decided already: ${one.decision.decision === 'approve' ? 'approved' : 'sent back'}, ${new Date(one.decision.created_at).toLocaleTimeString()}.`);
  }

  async #link(): Promise<void> {
    try { this.url = (await body(api.POST('/v1/projects/{project}/link', this.#params))).url; } catch (error) { this.refusal = (error as Error).message; }
  }

  #ask(what: 'note' | 'stop'): void {
    this.asking = what;
    void this.updateComplete.then(() => this.querySelector<HTMLElement>('.bar textarea, .bar button')?.focus());
  }

  override render(): TemplateResult {
    const { found } = this;
    if (!found) return html`<section class="page">${this.unreachable ? html`<p class="refusal" role="alert">${this.unreachable}</p><p><a href="/studio" @click=${link}>All films</a></p>` : html`<p class="quiet">One moment…</p>`}</section>`;
    const titles: Record<string, string> = { script: 'Choose a script', film: 'Watch the film and decide', credits: 'Out of credits' };
    const ended: Record<string, string> = { succeeded: 'The film is ready', canceled: 'Stopped', failed: 'This film has stopped' };
    const decides = found.waiting_for === 'script' || found.waiting_for === 'film', quarter = Math.floor(share(found) * 4) * 25;
    const announced = decides ? `${found.input.idea} needs you: ${doing(found)}.` : found.status === 'working' ? `${STAGES[place(found)] ?? ''}${quarter ? `, ${quarter} %` : ''}` : doing(found);
    return html`<section class="page project"><header class="row"><p class="quiet crumbs"><a href="/studio" @click=${link}>Studio</a> › <span dir="auto">${found.input.idea}</span></p>${this.#costs(found)}</header>
      <h1>${titles[found.waiting_for ?? ''] ?? ended[found.status] ?? 'In work'}</h1>
      ${segments(found, true)}
      <p class="visually-hidden" role="status">${announced}</p>
      ${decides ? nothing : html`<p class=${found.status === 'failed' || found.waiting_for ? 'refusal' : 'quiet'} dir="auto">${doing(found)} ${found.waiting_for === 'credits' ? html`<a href="/credits" @click=${link}>Credits</a>` : nothing}</p>`}
      ${found.persona === null && !ENDED.includes(found.status) ? html`<p class="refusal">The persona of this film was deleted: it cannot go on.</p>` : nothing}
      ${this.unreachable ? html`<p class="refusal" role="alert">${this.unreachable}</p>` : nothing}
      ${this.#round(found)}
      ${this.refusal ? html`<p class="refusal" role="alert">${this.refusal}</p>` : nothing}
      ${this.#bar(found)}</section>`;
  }

  #round(found: Project): TemplateResult | typeof nothing {
    if (Object.keys(found.films).length) {
      const seek = (second: number): void => { const video = this.querySelector<HTMLVideoElement>('.films video'); if (video) { video.currentTime = second; void video.play().catch(() => undefined); } };
      return html`<div class="watch"><div>${films(found, this.shape, (shape) => { this.shape = shape; })}${shots(this.history, found, seek)}
        ${found.credits.length ? html`<section><h2>Goes into the description</h2><ul class="quiet">${found.credits.map((one) => html`<li dir="auto">${one}</li>`)}</ul></section>` : nothing}
        <publish-form .project=${found} @changed=${() => void this.#look()} @wanted=${() => this.requestUpdate()}></publish-form></div>${quality(found, this.shape)}</div>`;
    }
    const writing = found.stage === 'scripts' && ['ready', 'working'].includes(found.status);
    if (found.waiting_for === 'script' || writing || (found.stage === 'scripts' && found.scripts.length)) {
      const choice: Choice = { chosen: this.chosen, edits: this.#edits!, writing, changed: this.changed, choose: (id) => { this.chosen = id; }, showChanges: (on) => { this.changed = on; } };
      return scripts(found.scripts, choice);
    }
    return place(found) > 2 ? html`${shots(this.history, found, () => undefined)}` : nothing;
  }

  #bar(found: Project): TemplateResult | typeof nothing {
    if (ENDED.includes(found.status) && found.status !== 'failed') return nothing;
    const { sending } = this, keep = html`<button @click=${() => { this.asking = ''; }}>Keep it</button>`;
    if (this.asking === 'note') {
      return html`<div class="bar note"><label>What should be different?<textarea rows="2" maxlength="1000" dir="auto" .value=${sessionStorage.getItem(this.#note) ?? ''} @input=${(event: Event) => sessionStorage.setItem(this.#note, (event.target as HTMLTextAreaElement).value)}></textarea></label><p class="buttons">${keep}<button class="first" ?disabled=${sending} @click=${() => void this.#reject()}>Send it back</button></p></div>`;
    }
    if (this.asking === 'stop') {
      return html`<div class="bar"><p><b>Stop this film?</b><br>What was made until now is kept in its history; it cannot go on.</p><p class="buttons">${keep}<button class="danger" ?disabled=${sending} @click=${() => void this.#do(() => body(api.POST('/v1/projects/{project}/cancel', this.#params)))}>Stop this film</button></p></div>`;
    }
    if (this.asking === 'faulty') {
      return html`<div class="bar"><p><b>Approve although the check found something?</b></p><p class="buttons">${keep}<button class="first" ?disabled=${sending} @click=${() => void this.#approve()}>Approve the film</button></p></div>`;
    }
    const stop = html`<button class="text" @click=${() => this.#ask('stop')}>Stop this film</button>`;
    const retry = found.persona === null ? nothing : html`<button class="first" ?disabled=${sending} @click=${() => void this.#do(() => body(api.POST('/v1/projects/{project}/retry', this.#params)))}>Try again</button>`;
    if (found.status === 'failed' || found.waiting_for === 'credits') return html`<div class="bar"><p></p><p class="buttons">${stop}${retry}</p></div>`;
    if (found.status !== 'waiting') return html`<div class="bar"><p></p><p class="buttons">${stop}</p></div>`;
    const until = found.gate_until ? new Date(found.gate_until) : undefined, closed = until !== undefined && until < new Date();
    const chosen = found.scripts.find((one) => one.id === this.chosen), script = found.waiting_for === 'script';
    const next = script ? 'Next: voice, shots and the film. Nothing goes public without you.' : this.#form?.next ?? '';
    return html`<div class="bar"><div><p class="line" dir="auto"><b>${script ? chosen?.title : found.scripts.find((one) => one.rank === 1)?.title ?? found.input.idea}</b></p>
        <p class="quiet">${closed ? 'The time to decide is over: try again to decide anew.' : `${next} Until ${until?.toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'short' })}.`}</p>
        ${this.url ? html`<label>A link for somebody without an account, good for seven days. It shows the scripts as they were written.<span class="buttons"><input readonly .value=${this.url} @focus=${(event: Event) => (event.target as HTMLInputElement).select()}><button class="small" @click=${() => void navigator.clipboard?.writeText(this.url).then(() => this.toast('The link is copied.'))}>Copy</button></span></label>` : nothing}</div>
      <p class="buttons">${stop}${closed ? retry : html`<button @click=${() => void this.#link()}>Send for approval</button><button @click=${() => this.#ask('note')}>${script ? 'Write new ones' : 'Send back'}</button>
        <button class="first" ?disabled=${sending || (script && !this.chosen)} @click=${() => void this.#approve()}>${script ? `Use script ${chosen?.rank ?? ''}` : this.#form?.verb ?? 'Approve the film'}</button>`}</p></div>`;
  }

  #costs(found: Project): TemplateResult {
    const steps = this.history?.steps ?? [];
    return html`<details class="history"><summary>History · Costs <b>${Math.ceil(found.cost_credits ?? 0).toLocaleString('en')}</b> credits</summary>
      <div class="scroll"><table class="jobs"><thead><tr><th>Step</th><th>Credits</th><th>Seconds</th></tr></thead><tbody>${steps.map((step) => html`<tr><td>${step.stage} <span class="quiet">${step.key}</span></td><td>${(step.cost_usd ?? 0) > 0 ? (1000 * (step.cost_usd ?? 0)).toFixed(1) : ''}</td><td>${step.ended_at ? ((new Date(step.ended_at).getTime() - new Date(step.started_at).getTime()) / 1000).toFixed(1) : '…'}</td></tr>`)}
      ${this.history?.decisions.map((one) => html`<tr><td>${one.decision} <span class="quiet">${one.gate}, round ${one.round}, by ${one.by.startsWith('link') ? 'a link' : 'you'}</span></td><td></td><td></td></tr>`)}</tbody></table></div></details>`;
  }
}

/** Two addresses of one file, signed at different times. */
const same = (one: string, other: string): boolean => one.split('?')[0] === other.split('?')[0];

customElements.define('project-page', ProjectPage);
