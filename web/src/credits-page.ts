/** What is left, and what was made for it. */

import { html, nothing, type TemplateResult } from 'lit';
import { api, body, type Account, type Prediction } from './session.js';
import { credits, View } from './view.js';

export class CreditsPage extends View {
  static override properties = { account: { attribute: false }, jobs: { state: true }, failure: { state: true } };
  declare account: Account | undefined;
  declare jobs: Prediction[] | undefined;
  declare failure: string;

  constructor() { super(); this.failure = ''; }
  override connectedCallback(): void { super.connectedCallback(); void this.#load(); }

  async #load(): Promise<void> {
    try { this.jobs = (await body(api.GET('/v1/predictions'))).results; } catch (error) { this.failure = (error as Error).message; }
  }

  async #cancel(job: Prediction): Promise<void> {
    await body(api.POST('/v1/predictions/{public}/cancel', { params: { path: { public: job.id } } })).catch((error: Error) => { this.failure = error.message; });
    await this.#load();
  }

  override render(): TemplateResult {
    return html`<section class="page"><header><h1>Credits</h1></header>
      <p class="balance"><b>${this.account ? Math.floor(this.account.balance).toLocaleString('en') : '…'}</b> credits left</p>
      <h2>Jobs</h2>
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.jobs?.length === 0 ? html`<p class="quiet">Nothing was made yet.</p>` : nothing}
      <div class="scroll"><table class="jobs"><thead><tr><th>When</th><th>What</th><th>State</th><th>Credits</th><th></th></tr></thead><tbody>${this.jobs?.map((job) => html`<tr>
        <td>${new Date(job.created_at).toLocaleString()}</td><td><b>${job.model.split('/')[1]}</b> <span class="quiet" dir="auto">${String(job.input?.['message'] ?? job.input?.['say'] ?? job.input?.['scene'] ?? '').slice(0, 60)}</span></td>
        <td>${job.status}${job.error ? html`<br><small class="quiet">${job.error}</small>` : nothing}</td><td>${job.receipt?.cost_usd ? credits(job.receipt.cost_usd) : ''}</td>
        <td>${['starting', 'processing'].includes(job.status) ? html`<button class="small" @click=${() => void this.#cancel(job)}>Cancel</button>` : nothing}</td></tr>`)}</tbody></table></div></section>`;
  }
}

customElements.define('credits-page', CreditsPage);
