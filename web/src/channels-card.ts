/** Channels at YouTube: connect, confirm by name, disconnect. */

import { html, nothing, type TemplateResult } from 'lit';
import type { components } from './openapi.js';
import { api, body } from './session.js';
import { navigate, View } from './view.js';

type Channel = components['schemas']['Channel'];
const STATES: Record<string, string> = { unconfirmed: 'Is it this one?', connected: 'Connected', needs_reconnect: 'Has to be connected again' };

export class ChannelsCard extends View {
  static override properties = { channels: { state: true }, available: { state: true }, failure: { state: true }, sending: { state: true } };
  declare channels: Channel[];
  declare available: boolean;
  declare failure: string;
  declare sending: boolean;

  constructor() { super(); Object.assign(this, { channels: [], available: false, failure: '', sending: false }); }

  override connectedCallback(): void {
    super.connectedCallback();
    const query = new URLSearchParams(location.search), code = query.get('code'), state = query.get('state');
    if (location.pathname === '/studio/connect') {
      navigate('/studio'); // a consent is used once: a reload would only fail
      if (query.get('error')) this.failure = 'Nothing was connected: the consent was not given.';
      if (code && state) { void this.#do(() => body(api.POST('/v1/channels', { body: { code, state } }))); return; }
    }
    void this.#load();
  }

  async #load(): Promise<void> {
    try {
      const found = await body(api.GET('/v1/channels'));
      Object.assign(this, { channels: found.results, available: found.available });
    } catch (error) { this.failure = (error as Error).message; }
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    try { await work(); this.failure = ''; } catch (error) { this.failure = (error as Error).message; } finally { this.sending = false; }
    await this.#load();
  }

  async #connect(): Promise<void> {
    await this.#do(async () => location.assign((await body(api.POST('/v1/channels/consent'))).url));
  }

  override render(): TemplateResult | typeof nothing {
    if (!this.available && !this.failure) return nothing;
    const of = (channel: string) => ({ params: { path: { channel } } });
    return html`<section class="card channels"><header class="row"><h2>YouTube</h2><button class="small" ?disabled=${this.sending} @click=${() => void this.#connect()}>Connect a channel</button></header>
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.channels.length ? html`<ul>${this.channels.map((one) => html`<li><span><b dir="auto">${one.title}</b> <span class=${one.state === 'connected' ? 'quiet' : 'warning'}>${STATES[one.state]}</span></span>
        <span class="buttons">${one.state === 'unconfirmed' ? html`<button class="small first" ?disabled=${this.sending} @click=${() => void this.#do(() => body(api.POST('/v1/channels/{channel}/confirm', of(one.id))))}>Yes, publish there</button>` : nothing}
          ${one.state === 'needs_reconnect' ? html`<button class="small first" ?disabled=${this.sending} @click=${() => void this.#connect()}>Connect again</button>` : nothing}
          <button class="small" ?disabled=${this.sending} aria-label=${`Disconnect ${one.title}`} @click=${() => void this.#do(() => body(api.DELETE('/v1/channels/{channel}', of(one.id))))}>${one.state === 'unconfirmed' ? 'No' : 'Disconnect'}</button></span></li>`)}</ul>` : html`<p class="quiet">Connect a channel to publish films there. You see its name before anything is sent.</p>`}</section>`;
  }
}

customElements.define('channels-card', ChannelsCard);
