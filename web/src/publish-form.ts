/** How a film goes out: thumbnail, words, channel, who sees it and from when on; afterwards, where it stands. */

import { html, nothing, type TemplateResult } from 'lit';
import type { Project } from './film.js';
import type { components } from './openapi.js';
import { api, body } from './session.js';
import { link, View } from './view.js';

type Channel = components['schemas']['Channel'];
type Publish = components['schemas']['Publish'];
const TITLE = 100, DESCRIPTION = 5000; // characters and bytes that YouTube takes
const bytes = (text: string): number => new TextEncoder().encode(text).length;
const STATES: Record<string, string> = {
  uploading: 'On its way to YouTube.', processing: 'YouTube is processing it.', scheduled: 'Scheduled, private until then.', public: 'Everybody can watch it.',
  unlisted: 'Whoever has its address can watch it.', private: 'Only you can watch it.', rejected: 'YouTube does not show it.', removed: 'It is not at YouTube any more.',
};
const local = (time: Date): string => new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

export class PublishForm extends View {
  static override properties = { project: { attribute: false }, channels: { state: true }, available: { state: true }, channel: { state: true }, picture: { state: true }, headline: { state: true }, words: { state: true }, seen: { state: true }, at: { state: true }, captions: { state: true }, failure: { state: true }, sending: { state: true }, changing: { state: true } };
  declare project: Project;
  declare channels: Channel[];
  declare available: boolean;
  declare channel: string; // empty: it is kept here
  declare picture: number;
  declare headline: string;
  declare words: string;
  declare seen: 'private' | 'unlisted' | 'public' | 'scheduled';
  declare at: string;
  declare captions: boolean;
  declare failure: string;
  declare sending: boolean;
  declare changing: boolean;

  constructor() {
    super();
    const tomorrow = new Date(Date.now() + 86_400_000);
    tomorrow.setHours(9, 0, 0, 0);
    Object.assign(this, { channels: [], available: false, channel: '', picture: 0, headline: '', words: '', seen: 'scheduled', at: local(tomorrow), captions: false, failure: '', sending: false, changing: false });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void body(api.GET('/v1/channels')).then((found) => {
      this.channels = found.results.filter((one) => one.state === 'connected');
      this.available = found.available;
      this.channel = this.channels[0]?.id ?? '';
    }, (error: Error) => { this.failure = error.message; });
  }

  override willUpdate(): void { this.headline ||= (this.project.scripts.find((one) => one.rank === 1)?.title ?? this.project.input.idea).slice(0, TITLE); }

  /** What is to be published, or undefined where the film is kept here. Raises Error for what is missing. */
  wanted(): Publish | undefined {
    if (!this.channel) return undefined;
    if (!this.headline.trim()) throw new Error('Give the film a title.');
    const later = this.seen === 'scheduled';
    return { channel: this.channel, title: this.headline.trim(), description: this.words.trim(), thumbnail: this.picture, captions: this.captions, privacy: later ? 'public' : this.seen as Publish['privacy'], at: later ? new Date(this.at).toISOString() : undefined, shape: this.project.input.shapes?.[0] };
  }

  /** What happens next, in a sentence. */
  get next(): string {
    const name = this.channels.find((one) => one.id === this.channel)?.title;
    if (!name) return 'Approving ends this film: it is kept, and nothing is published.';
    const when = this.seen === 'scheduled' ? `${new Date(this.at).toLocaleString('en-GB', { weekday: 'long', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })} · private until then` : STATES[this.seen];
    return `To YouTube, channel “${name}” · ${when} · marked as made with AI.`;
  }

  get verb(): string { return !this.channel ? 'Approve the film' : this.seen === 'scheduled' ? 'Approve and schedule' : 'Approve and publish'; }

  async #send(work: () => Promise<unknown>): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    try { await work(); this.failure = ''; this.changing = false; } catch (error) { this.failure = (error as Error).message; } finally { this.sending = false; }
    this.dispatchEvent(new CustomEvent('changed', { bubbles: true }));
  }

  #changed(): void { this.dispatchEvent(new CustomEvent('wanted', { bubbles: true })); }

  override updated(): void { this.#changed(); }

  override render(): TemplateResult | typeof nothing {
    const { publication, status, waiting_for: gate } = this.project;
    if (publication && status !== 'waiting') return this.#stands(publication);
    if (gate !== 'film' && status !== 'succeeded') return nothing;
    return html`<section class="publish" @change=${() => this.#changed()}>
      ${this.project.thumbnails?.length ? html`<fieldset class="thumbnails"><legend>Thumbnail</legend>${this.project.thumbnails.map((one, at) => html`<label class=${this.picture === at ? 'chosen' : ''}><input class="unseen" type="radio" name="thumbnail" .checked=${this.picture === at} @change=${() => { this.picture = at; }}><img alt=${`${one.words}. ${one.description}`} src=${one.picture} width="320" height="180"></label>`)}</fieldset>` : nothing}
      ${this.available ? this.#fields() : html`<p class="quiet">Publishing is not set up here. The film can be downloaded.</p>`}
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${status === 'succeeded' && this.channel ? html`<p class="buttons"><button class="first" ?disabled=${this.sending} @click=${() => void this.#send(async () => { await body(api.POST('/v1/projects/{project}/publication', { params: { path: { project: this.project.id } }, body: this.wanted()! })); })}>${this.verb.replace('Approve and s', 'S').replace('Approve and p', 'P')}</button></p>` : nothing}</section>`;
  }

  #fields(): TemplateResult {
    const size = bytes(this.words);
    return html`<div class="fields">
      <label>Channel<select name="channel" .value=${this.channel} @change=${(event: Event) => { this.channel = (event.target as HTMLSelectElement).value; }}>${this.channels.map((one) => html`<option value=${one.id} ?selected=${one.id === this.channel}>${one.title}</option>`)}<option value="" ?selected=${!this.channel}>Nowhere: keep it here</option></select></label>
      ${this.channels.length ? nothing : html`<p class="quiet">To publish, <a href="/studio" @click=${link}>connect a channel</a> first.</p>`}
      ${this.channel ? html`
      <label>Title<input name="title" maxlength=${TITLE} dir="auto" .value=${this.headline} @input=${(event: Event) => { this.headline = (event.target as HTMLInputElement).value; }}><small class="count">${this.headline.length} of ${TITLE}</small></label>
      <label>Description<textarea name="description" rows="3" dir="auto" .value=${this.words} @input=${(event: Event) => { this.words = (event.target as HTMLTextAreaElement).value; }}></textarea><small class=${size > DESCRIPTION ? 'count over' : 'count'}>${size.toLocaleString('en')} of ${DESCRIPTION.toLocaleString('en')} bytes; credits and “made with AI” are added</small></label>
      <label>Who sees it<select name="seen" @change=${(event: Event) => { this.seen = (event.target as HTMLSelectElement).value as typeof this.seen; }}>${[['scheduled', 'Everybody, from a time on'], ['public', 'Everybody, at once'], ['unlisted', 'Whoever has the address'], ['private', 'Only me']].map(([value, name]) => html`<option value=${value!} ?selected=${value === this.seen}>${name}</option>`)}</select></label>
      ${this.seen === 'scheduled' ? html`<label>When<input name="at" type="datetime-local" .value=${this.at} @input=${(event: Event) => { this.at = (event.target as HTMLInputElement).value; }}></label>` : nothing}
      <label class="consent"><input type="checkbox" .checked=${this.captions} @change=${(event: Event) => { this.captions = (event.target as HTMLInputElement).checked; }}> Captions also as a track of their own</label>` : nothing}</div>`;
  }

  #stands(found: components['schemas']['Publication']): TemplateResult {
    const there = ['scheduled', 'public', 'unlisted', 'private'].includes(found.state), at = found.at ? new Date(found.at) : undefined;
    const path = { params: { path: { project: this.project.id } } };
    const change = (privacy: 'private' | 'unlisted' | 'public', when?: string): Promise<void> => this.#send(() => body(api.PATCH('/v1/projects/{project}/publication', { ...path, body: { privacy, at: when } })));
    return html`<section class="card publish"><h2>At YouTube</h2><p><b dir="auto">${found.title}</b><br>${found.state === 'scheduled' && at ? `Scheduled, ${at.toLocaleString('en-GB', { weekday: 'long', day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' })}.` : STATES[found.state] ?? found.state} ${found.problem ?? ''}
        ${found.url && there ? html`<br><a href=${found.url} target="_blank" rel="noreferrer">Open it at YouTube</a> · <a href=${`/analytics/${this.project.id}`} @click=${link}>Who watched it</a>` : nothing}</p>
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.changing ? html`<label>When<input type="datetime-local" .value=${this.at} @input=${(event: Event) => { this.at = (event.target as HTMLInputElement).value; }}></label><p class="buttons"><button class="first" ?disabled=${this.sending} @click=${() => void change('public', new Date(this.at).toISOString())}>Schedule</button><button @click=${() => { this.changing = false; }}>Keep it</button></p>`
        : there || found.state === 'uploading' ? html`<p class="buttons">${found.state === 'public' ? nothing : html`<button class="small" @click=${() => { this.changing = true; }}>${found.state === 'scheduled' ? 'Change the time' : 'Schedule'}</button>`}
          ${found.state === 'scheduled' || found.state === 'public' ? html`<button class="small" ?disabled=${this.sending} @click=${() => void change('private')}>${found.state === 'scheduled' ? 'Cancel: keep it private' : 'Make it private'}</button>` : nothing}
          ${found.state === 'unlisted' ? nothing : html`<button class="small" ?disabled=${this.sending} @click=${() => void change('unlisted')}>Unlist</button>`}</p>` : nothing}</section>`;
  }
}

customElements.define('publish-form', PublishForm);
