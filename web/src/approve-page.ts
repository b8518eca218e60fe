/** For whoever has a link to a gate: the scripts or the film, and a decision. No account is needed. */

import { html, nothing, type TemplateResult } from 'lit';
import { Edits, films, quality, scripts, type Project } from './film.js';
import { api, body } from './session.js';
import { View } from './view.js';

export class ApprovePage extends View {
  static override properties = { project: { state: true }, failure: { state: true }, refusal: { state: true }, chosen: { state: true }, changed: { state: true }, shape: { state: true }, noting: { state: true }, sending: { state: true }, done: { state: true } };
  declare project: Project | undefined;
  declare failure: string; // of the link
  declare refusal: string; // of what was tried
  declare chosen: string;
  declare changed: boolean;
  declare shape: string;
  declare noting: boolean;
  declare sending: boolean;
  declare done: string;
  #token = location.hash.slice(1);
  #edits = new Edits(`edits-${this.#token.slice(0, 80)}`, () => this.requestUpdate());

  constructor() {
    super();
    Object.assign(this, { failure: '', refusal: '', chosen: '', changed: false, shape: '', noting: false, sending: false, done: '' });
    addEventListener('hashchange', () => location.reload()); // another link in the same tab
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#load(); }

  async #load(): Promise<void> {
    try {
      this.project = await body(api.GET('/v1/gates/{token}', { params: { path: { token: this.#token } } }));
      this.chosen = this.project.scripts[0]?.id ?? '';
      this.shape = this.project.input.shapes?.[0] ?? '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  get #note(): string { return `note-${this.#token.slice(0, 80)}`; }

  async #decide(decision: 'approve' | 'reject'): Promise<void> {
    const note = (sessionStorage.getItem(this.#note) ?? '').trim();
    if (decision === 'reject' && !note) { this.refusal = 'Say what should be better.'; return; }
    if (this.sending) return;
    this.sending = true;
    try {
      const script = decision === 'approve' && this.project!.waiting_for === 'script' ? this.chosen : undefined;
      const sentences = script ? this.#edits.sent(script) : undefined;
      const stands = await body(api.POST('/v1/gates/{token}', { params: { path: { token: this.#token } }, body: { decision, note: decision === 'reject' ? note : undefined, script, sentences } }));
      const { decision: what, created_at: when } = stands.decision;
      this.done = stands.first ? (what === 'approve' ? 'Approved. Thank you.' : 'Sent back with your note.') : `${what === 'approve' ? 'Approved' : 'Sent back'} by somebody already, ${new Date(when).toLocaleString()}.`;
    } catch (error) { this.refusal = (error as Error).message; } finally { this.sending = false; }
  }

  override render(): TemplateResult {
    const { project, sending } = this, until = project?.gate_until ? new Date(project.gate_until) : undefined;
    const day = until?.toLocaleString(undefined, { weekday: 'long', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
    const card = (title: string, text: string): TemplateResult => html`<main class="sign-in"><section class="card"><h1>${title}</h1><p role="status">${text}</p></section></main>`;
    if (this.done) return card(this.done, 'You can close this page.');
    if (!project) return this.failure ? card('This link does not work', this.failure) : card('One moment…', '');
    if (until && until < new Date()) return card(`This link ended on ${day}.`, 'Ask whoever sent it for a new one.');
    const film = project.waiting_for === 'film';
    return html`<main class="page approve"><header><h1>${film ? 'Watch the film and decide' : 'Choose a script'}</h1></header>
      <p class="quiet" dir="auto">For the film “${project.input.idea}”. No account needed.</p>
      ${until ? html`<p class="deadline">Decide by <b>${day}</b>. After that the link stops working.</p>` : nothing}
      ${film ? html`<div class="watch"><div>${films(project, this.shape, (shape) => { this.shape = shape; })}<ul class="quiet">${project.credits.map((one) => html`<li dir="auto">${one}</li>`)}</ul></div>${quality(project, this.shape)}</div>`
        : scripts(project.scripts, { chosen: this.chosen, edits: this.#edits, writing: false, changed: this.changed, choose: (id) => { this.chosen = id; }, showChanges: (on) => { this.changed = on; } })}
      ${this.refusal ? html`<p class="refusal" role="alert">${this.refusal}</p>` : nothing}
      <div class="bar">${this.noting
        ? html`<label>What should be better?<textarea rows="2" maxlength="1000" dir="auto" .value=${sessionStorage.getItem(this.#note) ?? ''} @input=${(event: Event) => sessionStorage.setItem(this.#note, (event.target as HTMLTextAreaElement).value)}></textarea></label>
          <p class="buttons"><button @click=${() => { this.noting = false; }}>Keep it</button><button class="first" ?disabled=${sending} @click=${() => void this.#decide('reject')}>Send it back</button></p>`
        : html`<p class="quiet">${film ? 'Nothing is published by approving.' : 'Approve, and the voice is recorded next. The film comes back before anyone sees it.'}</p>
          <p class="buttons"><button @click=${() => { this.noting = true; void this.updateComplete.then(() => this.querySelector<HTMLElement>('.bar textarea')?.focus()); }}>Send back with a note</button><button class="first" ?disabled=${sending} @click=${() => void this.#decide('approve')}>${film ? 'Approve the film' : 'Approve this script'}</button></p>`}</div></main>`;
  }
}

customElements.define('approve-page', ApprovePage);
