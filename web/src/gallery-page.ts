/** Finished videos: one's own and published ones, as a grid and at full size. */

import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { api, body, type Persona, type Video } from './session.js';
import { clock, icon, link, navigate, View } from './view.js';

const HOVER = 300; // ms until a tile plays
const UNDO = 6000; // ms in which a deletion is taken back

export class GalleryPage extends View {
  static override properties = { personas: { attribute: false }, video: { attribute: false }, videos: { state: true }, next: { state: true }, failure: { state: true }, found: { state: true }, looked: { state: true }, whose: { state: true }, source: { state: true }, persona: { state: true }, model: { state: true }, deleted: { state: true } };
  declare personas: Persona[];
  declare video: string | undefined;
  declare videos: Video[] | undefined;
  declare next: string | null;
  declare failure: string;
  declare whose: 'mine' | 'public';
  declare persona: string;
  declare model: string;
  declare source: string;
  declare deleted: Video | undefined;
  declare found: Video | undefined;
  declare looked: boolean;
  #loading = 0;
  #hovering: ReturnType<typeof setTimeout> | undefined;
  #deleting: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    Object.assign(this, { next: null, failure: '', whose: query.get('whose') === 'public' ? 'public' : 'mine', persona: query.get('persona') ?? '', model: query.get('model') ?? '', source: query.get('source') ?? '' });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('pagehide', this.#deleteNow);
    void this.#load();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('pagehide', this.#deleteNow);
    void this.#deleteNow();
  }

  override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has('video') && this.video) void this.#find(this.video);
  }

  /** One that is not on the page that was loaded. */
  async #find(video: string): Promise<void> {
    this.found = undefined;
    this.found = await body(api.GET('/v1/gallery/{prediction}', { params: { path: { prediction: video } } })).catch(() => undefined);
    this.looked = true;
  }

  override updated(changed: PropertyValues<this>): void {
    const dialog = this.querySelector('dialog');
    if (this.video && dialog && !dialog.open) dialog.showModal();
    if (changed.has('video') && !this.video && dialog?.open) dialog.close();
  }

  async #load(cursor?: string): Promise<void> {
    const loading = ++this.#loading;
    try {
      const query = { persona: this.persona || undefined, model: this.model || undefined, source: this.source || undefined, public: this.whose === 'public', cursor };
      const page = await body(api.GET('/v1/gallery', { params: { query } }));
      if (loading !== this.#loading) return; // something else was asked for since
      const shown = page.results.filter((one) => one.prediction !== this.deleted?.prediction);
      this.videos = cursor ? [...(this.videos ?? []), ...shown] : shown;
      this.next = page.next && new URL(page.next).searchParams.get('cursor');
      this.failure = '';
    } catch (error) { this.failure = (error as Error).message; }
  }

  #filter(change: Partial<Pick<GalleryPage, 'whose' | 'persona' | 'model' | 'source'>>): void {
    Object.assign(this, change);
    const query = new URLSearchParams(Object.entries({ whose: this.whose === 'mine' ? '' : this.whose, persona: this.persona, model: this.model, source: this.source }).filter(([, value]) => value));
    history.replaceState(null, '', `/gallery${query.size ? `?${query}` : ''}`);
    void this.#load();
  }

  async #publish(video: Video): Promise<void> {
    if (!video.published && !confirm('Anyone with or without an account can watch it. Publish?')) return;
    const changed = await body(api.PATCH('/v1/gallery/{prediction}', { params: { path: { prediction: video.prediction } }, body: { published: !video.published } }));
    this.videos = this.videos?.map((one) => (one.prediction === changed.prediction ? changed : one));
    if (this.found?.prediction === changed.prediction) this.found = changed;
  }

  #delete(video: Video): void {
    void this.#deleteNow();
    this.deleted = video;
    this.videos = this.videos?.filter((one) => one.prediction !== video.prediction);
    navigate('/gallery');
    this.#deleting = setTimeout(() => void this.#deleteNow(), UNDO);
  }

  #deleteNow = async (): Promise<void> => {
    clearTimeout(this.#deleting);
    const { deleted } = this;
    this.deleted = undefined;
    if (deleted) await api.DELETE('/v1/gallery/{prediction}', { params: { path: { prediction: deleted.prediction } }, keepalive: true }).catch((error: Error) => { this.failure = error.message; });
  };

  #undo(): void {
    clearTimeout(this.#deleting);
    this.deleted = undefined;
    void this.#load();
  }

  #hover(event: Event): void {
    const video = (event.currentTarget as HTMLElement).querySelector('video');
    if (!video || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    clearTimeout(this.#hovering);
    this.#hovering = setTimeout(() => { video.src ||= video.dataset['src']!; void video.play().catch(() => undefined); }, HOVER);
  }

  #leave(event: Event): void {
    clearTimeout(this.#hovering);
    const video = (event.currentTarget as HTMLElement).querySelector('video');
    if (video?.src) { video.pause(); video.removeAttribute('src'); video.load(); }
  }

  override render(): TemplateResult {
    const shown = this.video ? this.videos?.find((one) => one.prediction === this.video) ?? this.found : undefined;
    return html`<section class="page">
      <header><h1>Gallery</h1></header>
      <div class="filters"><div class="switch" role="group" aria-label="Whose">${(['mine', 'public'] as const).map((whose) => html`<button aria-pressed=${this.whose === whose} @click=${() => this.#filter({ whose })}>${whose === 'mine' ? 'Mine' : 'Public'}</button>`)}</div>
        <select aria-label="Persona" @change=${(event: Event) => this.#filter({ persona: (event.target as HTMLSelectElement).value })}><option value="">All personas</option>${this.personas.map((one) => html`<option value=${one.id} ?selected=${one.id === this.persona}>${one.name}</option>`)}</select>
        <select aria-label="Kind" @change=${(event: Event) => this.#filter({ model: (event.target as HTMLSelectElement).value })}>${[['', 'All kinds'], ['talk', 'Talks'], ['lipsync', 'Lip-sync'], ['clip', 'Clips']].map(([value, name]) => html`<option value=${value} ?selected=${value === this.model}>${name}</option>`)}</select>
        <select aria-label="Made by" @change=${(event: Event) => this.#filter({ source: (event.target as HTMLSelectElement).value })}>${[['', 'Made by anything'], ['cpu', 'Our engine'], ['musetalk', 'MuseTalk'], ['replicate', 'Replicate'], ['fal', 'fal']].map(([value, name]) => html`<option value=${value} ?selected=${value === this.source}>${name}</option>`)}</select></div>
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.videos?.length === 0 ? html`<p class="empty">${this.persona || this.model || this.source ? html`Nothing like this here. <button class="text" @click=${() => this.#filter({ persona: '', model: '', source: '' })}>Clear filters</button>` : 'Nothing here yet. Talk to someone; it is kept here.'}</p>` : nothing}
      <ul class="grid">${repeat(this.videos ?? [], (one) => one.prediction, (one) => this.#tile(one))}</ul>
      ${this.next ? html`<button @click=${() => void this.#load(this.next!)}>Show more</button>` : nothing}
      ${this.video && (shown || this.looked) ? this.#full(shown) : nothing}
      <div class="toast" role="status" ?hidden=${!this.deleted}>Video deleted <button class="text" @click=${() => this.#undo()}>Undo</button></div>
    </section>`;
  }

  #tile(video: Video): TemplateResult {
    return html`<li><a href=${`/v/${video.prediction}`} @click=${link} @pointerenter=${(event: Event) => this.#hover(event)} @focus=${(event: Event) => this.#hover(event)} @pointerleave=${(event: Event) => this.#leave(event)} @blur=${(event: Event) => this.#leave(event)}>
      <span class="poster">${video.poster ?? video.persona?.portrait ? html`<img alt="" loading="lazy" src=${(video.poster ?? video.persona?.portrait)!}>` : nothing}<video muted loop playsinline preload="none" data-src=${video.video} aria-hidden="true"></video>
        ${video.published ? html`<span class="chip public">${icon('world')} Public</span>` : nothing}<span class="chip time">${clock(video.duration_s)}</span></span>
      <b dir="auto">${video.text || 'Video'}</b><small>${video.persona?.name ?? ''} · ${KINDS[video.model] ?? video.model}</small></a></li>`;
  }

  #full(video: Video | undefined): TemplateResult {
    return html`<dialog class="full" aria-label="Video" @close=${() => { if (location.pathname.startsWith('/v/')) navigate('/gallery'); }} @click=${(event: Event) => { if (event.target === event.currentTarget) (event.target as HTMLDialogElement).close(); }}>
      <button class="round" aria-label="Close" @click=${() => this.querySelector('dialog')!.close()}>${icon('close')}</button>
      ${video ? html`<div class="player"><video controls autoplay playsinline crossorigin="anonymous" src=${video.video} poster=${video.poster ?? nothing}>${video.captions ? html`<track kind="captions" srclang="en" label="Captions" src=${video.captions} default>` : nothing}</video><span class="chip label">AI-generated</span></div>
        <p dir="auto">${video.text}</p><p class="quiet">${[video.persona?.name, KINDS[video.model] ?? video.model, clock(video.duration_s), video.engine, new Date(video.created_at).toLocaleString()].filter(Boolean).join(' · ')}</p>
        <p class="buttons"><a class="button" href=${video.video} target="_blank" rel="noreferrer">Direct link</a>
          ${video.own ? html`<button @click=${() => void this.#publish(video)}>${video.published ? 'Withdraw' : 'Publish'}</button><button class="danger" @click=${() => this.#delete(video)}>Delete</button>` : nothing}</p>`
        : html`<p>This video is private or was deleted.</p>`}</dialog>`;
  }
}

const KINDS: Record<string, string> = { talk: 'Talk', lipsync: 'Lip-sync', clip: 'Clip' };

customElements.define('gallery-page', GalleryPage);
