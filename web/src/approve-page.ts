/** For whoever has a link to a gate: the scripts or the film, and a decision. No account is needed. */

import { html, nothing, type TemplateResult } from 'lit';
import type { components } from './openapi.js';
import { api, body } from './session.js';
import { View } from './view.js';

type Project = components['schemas']['ProjectResponse'];
interface Script { id: string; title: string; differs: string; rank: number; words: number; seconds: number; sentences: { text: string }[] }

export class ApprovePage extends View {
  static override properties = { project: { state: true }, failure: { state: true }, chosen: { state: true }, done: { state: true } };
  declare project: Project | undefined;
  declare failure: string;
  declare chosen: string;
  declare done: string;
  #token = location.hash.slice(1);

  constructor() {
    super();
    Object.assign(this, { failure: '', chosen: '', done: '' });
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#load(); }

  async #load(): Promise<void> {
    try {
      this.project = await body(api.GET('/v1/gates/{token}', { params: { path: { token: this.#token } } }));
      this.chosen = (this.project.scripts as unknown as Script[])[0]?.id ?? '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  async #decide(decision: 'approve' | 'reject', event: Event): Promise<void> {
    event.preventDefault();
    const note = this.querySelector('textarea')?.value.trim() ?? '';
    if (decision === 'reject' && !note) { this.failure = 'Say what should be better.'; return; }
    try {
      const script = this.project!.waiting_for === 'script' ? this.chosen : undefined;
      const stands = await body(api.POST('/v1/gates/{token}', { params: { path: { token: this.#token } }, body: { decision, note: note || undefined, script: decision === 'approve' ? script : undefined } }));
      const words = stands.decision.decision === 'approve' ? 'Approved. Thank you.' : 'Sent back with your note. Thank you.';
      this.done = stands.first ? words : `Somebody has decided already: ${stands.decision.decision}.`;
      this.failure = '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  override render(): TemplateResult {
    const { project } = this;
    if (this.done) return html`<main class="sign-in"><section class="card"><h1>${this.done}</h1><p>You can close this page.</p></section></main>`;
    if (!project) return html`<main class="sign-in"><section class="card">${this.failure ? html`<h1>This link does not work</h1><p role="alert">${this.failure}</p>` : html`<p>One moment…</p>`}</section></main>`;
    return html`<main class="page approve"><header><h1>${project.waiting_for === 'film' ? 'Approve the film' : 'Choose a script'}</h1></header>
      <p class="quiet" dir="auto">${project.input.idea}</p>
      <form @submit=${(event: Event) => void this.#decide('approve', event)}>
        ${project.waiting_for === 'film' ? this.#films(project) : this.#scripts(project.scripts as unknown as Script[])}
        <label>What should be better?<textarea rows="2" maxlength="1000"></textarea></label>
        ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
        <p class="buttons"><button class="first">${project.waiting_for === 'film' ? 'Approve the film' : 'Approve this script'}</button><button type="button" @click=${(event: Event) => void this.#decide('reject', event)}>Send it back</button></p>
      </form></main>`;
  }

  #scripts(scripts: Script[]): TemplateResult {
    return html`<div class="scripts" role="radiogroup" aria-label="Scripts">${scripts.map((one) => html`<label class="card script"><span><input type="radio" name="script" .checked=${one.id === this.chosen} @change=${() => { this.chosen = one.id; }}> <b dir="auto">${one.rank}. ${one.title}</b></span>
      <small class="quiet">${one.words} words, about ${Math.round(one.seconds)} s. ${one.differs}</small><span class="text" dir="auto">${one.sentences.map((sentence) => sentence.text).join(' ')}</span></label>`)}</div>`;
  }

  #films(project: Project): TemplateResult {
    return html`<div class="scripts">${Object.entries(project.films).map(([shape, film]) => html`<figure class="card"><div class="player"><video controls playsinline crossorigin="anonymous" src=${film.video} aria-label=${`The film, ${shape}`}><track kind="captions" srclang="en" label="Captions" src=${film.captions}></video><span class="chip label">AI-generated</span></div>
      <details><summary>${film.report.filter((one) => !one['passed']).length || 'No'} of ${film.report.length} checks failed</summary><ul>${film.report.map((one) => html`<li>${one['passed'] ? '✓' : '✗'} ${one['name']}: ${one['measured']} <span class="quiet">(${one['limit']})</span></li>`)}</ul></details></figure>`)}</div>`;
  }
}

customElements.define('approve-page', ApprovePage);
