/** For whoever has a link to a gate: the scripts or the film, and a decision. No account is needed. */

import { html, nothing, type TemplateResult } from 'lit';
import { edited, films, quality, scripts, type Project } from './film.js';
import { api, body } from './session.js';
import { View } from './view.js';

export class ApprovePage extends View {
  static override properties = { project: { state: true }, failure: { state: true }, chosen: { state: true }, editing: { state: true }, changed: { state: true }, shape: { state: true }, done: { state: true } };
  declare project: Project | undefined;
  declare failure: string;
  declare chosen: string;
  declare editing: string;
  declare changed: boolean;
  declare shape: string;
  declare done: string;
  #token = location.hash.slice(1);

  constructor() {
    super();
    Object.assign(this, { failure: '', chosen: '', editing: '', changed: false, shape: '', done: '' });
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#load(); }

  async #load(): Promise<void> {
    try {
      this.project = await body(api.GET('/v1/gates/{token}', { params: { path: { token: this.#token } } }));
      this.chosen = this.project.scripts[0]?.id ?? '';
      this.shape = this.project.input.shapes?.[0] ?? '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  async #decide(decision: 'approve' | 'reject', event: Event): Promise<void> {
    event.preventDefault();
    const note = this.querySelector<HTMLTextAreaElement>('.note textarea')?.value.trim() ?? '';
    if (decision === 'reject' && !note) { this.failure = 'Say what should be better.'; return; }
    try {
      const script = this.project!.waiting_for === 'script' ? this.chosen : undefined;
      const sentences = script && decision === 'approve' ? edited(this, script, this) : undefined;
      const stands = await body(api.POST('/v1/gates/{token}', { params: { path: { token: this.#token } }, body: { decision, note: note || undefined, script: decision === 'approve' ? script : undefined, sentences } }));
      const words = stands.decision.decision === 'approve' ? 'Approved. Thank you.' : 'Sent back with your note. Thank you.';
      this.done = stands.first ? words : `Somebody has decided already: ${stands.decision.decision}.`;
      this.failure = '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  override render(): TemplateResult {
    const { project } = this;
    if (this.done) return html`<main class="sign-in"><section class="card"><h1>${this.done}</h1><p>You can close this page.</p></section></main>`;
    if (!project) return html`<main class="sign-in"><section class="card">${this.failure ? html`<h1>This link does not work</h1><p role="alert">${this.failure}</p>` : html`<p>One moment…</p>`}</section></main>`;
    const film = project.waiting_for === 'film', until = project.gate_until ? new Date(project.gate_until) : undefined;
    return html`<main class="page approve"><header><h1>${film ? 'Watch the film and decide' : 'Choose a script'}</h1></header>
      <p class="quiet" dir="auto">For the film “${project.input.idea}”. No account needed.</p>
      ${until ? html`<p class="deadline">Decide by <b>${until.toLocaleString(undefined, { weekday: 'long', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })}</b>. After that the link stops working.</p>` : nothing}
      <form @submit=${(event: Event) => void this.#decide('approve', event)}>
        ${film ? html`<div class="watch"><div>${films(project, this.shape, (shape) => { this.shape = shape; })}<ul class="quiet">${project.credits.map((one) => html`<li>${one}</li>`)}</ul></div>${quality(project, this.shape)}</div>`
          : scripts(project.scripts, { chosen: this.chosen, editing: this.editing, changed: this.changed, choose: (id) => { this.chosen = id; }, edit: (id) => { this.editing = id; if (id) this.chosen = id; }, showChanges: (on) => { this.changed = on; } })}
        <label class="note">What should be better?<textarea rows="2" maxlength="1000"></textarea></label>
        ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
        <p class="buttons"><button type="button" @click=${(event: Event) => void this.#decide('reject', event)}>Send it back</button><button class="first">${film ? 'Approve the film' : 'Approve this script'}</button></p>
      </form></main>`;
  }
}

customElements.define('approve-page', ApprovePage);
