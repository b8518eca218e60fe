/** One film: its scripts to choose from, what is being made, the film beside its report. */

import { html, nothing, type TemplateResult } from 'lit';
import { doing, edited, films, place, quality, scripts, segments, shots, type Choice, type History, type Project } from './film.js';
import { api, body } from './session.js';
import { link, View } from './view.js';

const SOON = 1500, LATER = 6000; // ms between two looks, while it is worked on and while it waits

export class ProjectPage extends View {
  static override properties = { project: { attribute: false }, found: { state: true }, history: { state: true }, failure: { state: true }, chosen: { state: true }, editing: { state: true }, changed: { state: true }, shape: { state: true }, noting: { state: true } };
  declare project: string;
  declare found: Project | undefined;
  declare history: History | undefined;
  declare failure: string;
  declare chosen: string;
  declare editing: string;
  declare changed: boolean;
  declare shape: string;
  declare noting: boolean;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #told = '';

  constructor() {
    super();
    Object.assign(this, { failure: '', chosen: '', editing: '', changed: false, shape: '', noting: false });
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#look(); }
  override disconnectedCallback(): void { super.disconnectedCallback(); clearTimeout(this.#looking); }

  get #params() { return { params: { path: { project: this.project } } }; }

  async #look(): Promise<void> {
    clearTimeout(this.#looking);
    try {
      const found = await body(api.GET('/v1/projects/{project}', this.#params));
      if (found.scripts.every((one) => one.id !== this.chosen)) this.chosen = found.scripts.find((one) => one.rank === 1)?.id ?? '';
      this.shape ||= found.input.shapes?.[0] ?? '';
      const state = `${found.status} ${found.stage} ${found.round}`;
      if (state !== this.#told) this.history = await body(api.GET('/v1/projects/{project}/history', this.#params));
      this.#told = state;
      this.found = found;
      this.failure = '';
    } catch (error) { this.failure = (error as Error).message; }
    if (!this.isConnected || ['succeeded', 'failed', 'canceled'].includes(this.found?.status ?? '')) return;
    this.#looking = setTimeout(() => void this.#look(), this.found?.status === 'waiting' ? LATER : SOON);
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    try { await work(); this.failure = ''; this.noting = false; this.editing = ''; } catch (error) { this.failure = (error as Error).message; return; }
    this.dispatchEvent(new CustomEvent('account', { bubbles: true }));
    await this.#look();
  }

  #approve(): Promise<void> {
    const script = this.found!.waiting_for === 'script' ? this.chosen : undefined;
    const sentences = script ? edited(this, script, this) : undefined;
    return this.#do(() => body(api.POST('/v1/projects/{project}/approve', { ...this.#params, body: { round: this.found!.round, script, sentences } })));
  }

  #reject(): Promise<void> | void {
    const note = this.querySelector<HTMLTextAreaElement>('.note textarea')?.value.trim() ?? '';
    if (!note) { this.failure = 'What should be different? Say it in a sentence.'; return; }
    return this.#do(() => body(api.POST('/v1/projects/{project}/reject', { ...this.#params, body: { round: this.found!.round, note } })));
  }

  async #link(): Promise<void> {
    try {
      const { url } = await body(api.POST('/v1/projects/{project}/link', this.#params));
      await navigator.clipboard.writeText(url).then(() => this.toast('The link is copied. It is good for seven days.'), () => this.toast(url));
    } catch (error) { this.failure = (error as Error).message; }
  }

  override render(): TemplateResult {
    const { found } = this;
    if (!found) return html`<section class="page">${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : html`<p class="quiet">One moment…</p>`}</section>`;
    const titles: Record<string, string> = { script: 'Choose a script', film: 'Watch the film and decide' };
    return html`<section class="page project"><header class="row"><p class="quiet"><a href="/studio" @click=${link}>Studio</a> › <span dir="auto">${found.input.idea}</span></p><p class="quiet">${this.#costs(found)}</p></header>
      <h1>${titles[found.waiting_for ?? ''] ?? (found.status === 'succeeded' ? 'The film is ready' : found.status === 'canceled' ? 'Stopped' : found.status === 'failed' ? 'This film has stopped' : 'In work')}</h1>
      ${segments(found, true)}
      <p role="status" class=${found.status === 'failed' ? 'refusal' : 'quiet'}>${found.waiting_for === 'film' || found.waiting_for === 'script' ? '' : doing(found)}</p>
      ${this.#round(found)}
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.#bar(found)}</section>`;
  }

  #round(found: Project): TemplateResult | typeof nothing {
    if (Object.keys(found.films).length) {
      const seek = (second: number): void => { const video = this.querySelector<HTMLVideoElement>('.films video'); if (video) { video.currentTime = second; void video.play().catch(() => undefined); } };
      return html`<div class="watch"><div>${films(found, this.shape, (shape) => { this.shape = shape; })}${shots(this.history, found, seek)}
        ${found.credits.length ? html`<section><h2>Goes into the description</h2><ul class="quiet">${found.credits.map((one) => html`<li>${one}</li>`)}</ul></section>` : nothing}</div>${quality(found, this.shape)}</div>`;
    }
    if (found.waiting_for === 'script' || (found.stage === 'scripts' && found.scripts.length)) {
      const choice: Choice = {
        chosen: this.chosen, editing: this.editing, changed: this.changed, choose: (id) => { this.chosen = id; },
        edit: (id) => { this.editing = id; if (id) this.chosen = id; }, showChanges: (on) => { this.changed = on; },
      };
      return scripts(found.scripts, choice);
    }
    return place(found) > 2 ? html`${shots(this.history, found, () => undefined)}` : nothing;
  }

  #bar(found: Project): TemplateResult | typeof nothing {
    const cancel = html`<button @click=${() => void this.#do(() => body(api.POST('/v1/projects/{project}/cancel', this.#params)))}>Stop this film</button>`;
    const retry = html`<button class="first" @click=${() => void this.#do(() => body(api.POST('/v1/projects/{project}/retry', this.#params)))}>Try again</button>`;
    if (this.noting) {
      return html`<div class="bar note"><label>What should be different?<textarea rows="2" maxlength="1000"></textarea></label><p class="buttons"><button @click=${() => { this.noting = false; }}>Keep it</button><button class="first" @click=${() => void this.#reject()}>Send it back</button></p></div>`;
    }
    if (found.status === 'waiting' && found.waiting_for !== 'credits') {
      const closed = found.error?.['code'] === 'gate_closed', chosen = found.scripts.find((one) => one.id === this.chosen);
      const next = found.waiting_for === 'script' ? 'Next: voice, shots and the film. Nothing goes public without you.' : 'Approving ends this film: it is kept, and nothing is published.';
      return html`<div class="bar"><p><b dir="auto">${found.waiting_for === 'script' ? chosen?.title : found.input.idea}</b><br><span class="quiet">${closed ? 'The time to decide is over.' : next}</span></p>
        <p class="buttons">${closed ? retry : html`<button @click=${() => void this.#link()}>Send for approval</button><button @click=${() => { this.noting = true; }}>${found.waiting_for === 'script' ? 'Write new ones' : 'Send back'}</button>
          <button class="first" ?disabled=${found.waiting_for === 'script' && !this.chosen} @click=${() => void this.#approve()}>${found.waiting_for === 'script' ? `Use script ${chosen?.rank ?? ''}` : 'Approve the film'}</button>`}</p></div>`;
    }
    if (found.status === 'failed' || found.waiting_for === 'credits') return html`<div class="bar"><p></p><p class="buttons">${cancel}${retry}</p></div>`;
    return ['ready', 'working'].includes(found.status) ? html`<div class="bar"><p></p><p class="buttons">${cancel}</p></div>` : nothing;
  }

  #costs(found: Project): TemplateResult {
    const steps = this.history?.steps ?? [];
    return html`<details class="history"><summary>History · Costs <b>${Math.ceil(found.cost_credits ?? 0).toLocaleString('en')}</b> credits</summary>
      <div class="scroll"><table class="jobs"><thead><tr><th>Step</th><th>Credits</th><th>Seconds</th></tr></thead><tbody>${steps.map((step) => html`<tr><td>${step.stage} <span class="quiet">${step.key}</span></td><td>${(step.cost_usd ?? 0) > 0 ? (1000 * (step.cost_usd ?? 0)).toFixed(1) : ''}</td><td>${step.ended_at ? ((new Date(step.ended_at).getTime() - new Date(step.started_at).getTime()) / 1000).toFixed(1) : '…'}</td></tr>`)}
      ${this.history?.decisions.map((one) => html`<tr><td>${one.decision} <span class="quiet">${one.gate}, round ${one.round}, by ${one.by.startsWith('link') ? 'a link' : 'you'}</span></td><td></td><td></td></tr>`)}</tbody></table></div></details>`;
  }
}

customElements.define('project-page', ProjectPage);
