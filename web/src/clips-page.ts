/** Clips, as a conversation: what was asked for, and the five seconds that came of it. */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { api, body, type Prediction } from './session.js';
import { clock, credits, icon, View } from './view.js';

const WORDS = 14; // in five seconds; the backend refuses more
const LARGEST = 20 * 1024 * 1024;
const POLL = 1000; // ms
const LATE = 90_000; // ms: longer than most take
const SHAPES = { wide: 'Wide', tall: 'Tall', square: 'Square' } as const;
type Shape = keyof typeof SHAPES;

const running = (job: Prediction): boolean => job.status === 'starting' || job.status === 'processing';

export class ClipsPage extends View {
  static override properties = { jobs: { state: true }, says: { state: true }, scene: { state: true }, picture: { state: true }, failure: { state: true }, sending: { state: true } };
  declare jobs: Prediction[] | undefined;
  declare scene: string;
  declare says: string;
  declare picture: File | undefined;
  declare failure: string;
  declare sending: boolean;
  #address = '';
  #polling: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    Object.assign(this, { scene: '', says: '', failure: '', sending: false });
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#load(); }
  override disconnectedCallback(): void { super.disconnectedCallback(); clearTimeout(this.#polling); URL.revokeObjectURL(this.#address); }

  async #load(): Promise<void> {
    try {
      const { results } = await body(api.GET('/v1/predictions', { params: { query: { model: 'clip' } } }));
      this.jobs = results.reverse();
      this.#follow();
      await this.updateComplete;
      this.#toEnd();
    } catch (error) { this.failure = (error as Error).message; }
  }

  #toEnd(): void { this.querySelector('.clips > :last-child')?.scrollIntoView({ block: 'end' }); }

  /** Look at what runs until it has ended. */
  #follow(): void {
    clearTimeout(this.#polling);
    if (!this.isConnected || !this.jobs?.some(running)) return;
    this.#polling = setTimeout(async () => {
      await Promise.all(this.jobs!.filter(running).map((job) => this.#look(job)));
      this.#follow();
    }, POLL);
  }

  async #look(job: Prediction): Promise<void> {
    try {
      const found = await body(api.GET('/v1/predictions/{public}', { params: { path: { public: job.id } } }));
      this.#replace(job, found);
      if (!running(found)) this.dispatchEvent(new CustomEvent('account', { bubbles: true }));
    } catch (error) { this.failure = (error as Error).message; }
  }

  /** What is said of one that runs leaves out its input. */
  #replace(job: Prediction, found: Prediction): void {
    this.jobs = this.jobs?.map((one) => (one.id === job.id ? { ...found, input: found.input ?? job.input } : one));
  }

  get #over(): number { return Math.max(0, this.says.split(/\s+/).filter(Boolean).length - WORDS); }

  async #send(event: Event): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const given = new FormData(form);
    if (this.sending || !this.scene.trim() || this.#over) return;
    this.sending = true;
    this.failure = '';
    try {
      const input: Record<string, string> = { scene: this.scene.trim(), shape: String(given.get('shape')) };
      if (this.says.trim()) input['says'] = this.says.trim();
      const sound = String(given.get('sound')).trim();
      if (sound) input['sound'] = sound;
      if (this.picture) input['image'] = await this.#upload(this.picture);
      await this.#ask(input);
      form.reset();
      Object.assign(this, { scene: '', says: '' });
      this.#choose(undefined);
    } catch (error) { this.failure = (error as Error).message; } finally { this.sending = false; }
  }

  async #upload(picture: File): Promise<string> {
    const form = new FormData();
    form.append('content', picture);
    const kept = await body(api.POST('/v1/files', { body: form as never, bodySerializer: (data) => data as never }));
    return kept.urls['get']!;
  }

  async #ask(input: Record<string, unknown>): Promise<void> {
    const made = await body(api.POST('/v1/models/personaforge/{model}/predictions', { params: { path: { model: 'clip' } }, body: { input: input as never } }));
    this.jobs = [...(this.jobs ?? []), { ...made, input: made.input ?? (input as never) }];
    this.#follow();
    await this.updateComplete;
    this.#toEnd();
  }

  async #again(job: Prediction): Promise<void> {
    try { await this.#ask(job.input!); } catch (error) { this.failure = (error as Error).message; }
  }

  async #cancel(job: Prediction): Promise<void> {
    try { this.#replace(job, await body(api.POST('/v1/predictions/{public}/cancel', { params: { path: { public: job.id } } }))); } catch (error) { this.failure = (error as Error).message; }
  }

  #choose(file: File | undefined): void {
    this.failure = '';
    if (file && !['image/jpeg', 'image/png', 'image/webp'].includes(file.type)) { this.failure = 'That isn’t a picture. JPEG, PNG or WebP.'; file = undefined; }
    if (file && file.size > LARGEST) { this.failure = 'The picture may have at most 20 MB.'; file = undefined; }
    URL.revokeObjectURL(this.#address);
    this.#address = file ? URL.createObjectURL(file) : '';
    this.picture = file;
  }

  override render(): TemplateResult {
    return html`<section class="page clips-page">
      <header><h1>Clips</h1><small class="quiet">Five seconds, with speech and sound · 200 credits each</small></header>
      ${this.jobs?.length === 0 ? html`<p class="empty">Describe five seconds. You get a film with voice and sound, in about a minute.</p>` : nothing}
      <ol class="clips" aria-label="Clips">${repeat(this.jobs ?? [], (job) => job.id, (job) => this.#turn(job))}</ol>
      <form class="card" @submit=${(event: Event) => void this.#send(event)}>
        <label><span>Scene</span><textarea rows="1" maxlength="1000" required placeholder="A baker holds up a loaf" .value=${this.scene} @input=${(event: InputEvent) => { this.scene = (event.target as HTMLTextAreaElement).value; }}></textarea></label>
        <label><span>Says</span><textarea rows="1" maxlength="300" placeholder="Fresh bread, just for you." aria-describedby="clip-words" .value=${this.says} @input=${(event: InputEvent) => { this.says = (event.target as HTMLTextAreaElement).value; }}></textarea></label>
        <label><span>Sound</span><textarea rows="1" maxlength="300" name="sound" placeholder="An oven door, birds"></textarea></label>
        <div class="buttons">
          <small id="clip-words" role="status" class=${this.#over ? 'over' : 'quiet'}>${this.#over ? `Five seconds hold about ${WORDS} words. Take out ${this.#over}.` : ''}</small>
          ${this.picture ? html`<img alt="The first picture" width="44" height="44" src=${this.#address}><button type="button" class="text" @click=${() => this.#choose(undefined)}>Remove</button>`
            : html`<select name="shape" aria-label="Shape">${Object.entries(SHAPES).map(([value, name]) => html`<option value=${value as Shape}>${name}</option>`)}</select>
              <label class="button"><input class="unseen" type="file" accept="image/png,image/jpeg,image/webp" @change=${(event: Event) => this.#choose((event.target as HTMLInputElement).files?.[0])}>Begin with a picture</label>`}
          <button class="round first" aria-label="Make the clip" ?disabled=${this.sending || !this.scene.trim() || this.#over > 0}>${icon('send')}</button>
        </div>
        ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      </form></section>`;
  }

  #turn(job: Prediction): TemplateResult {
    const { scene, prompt, says, sound } = (job.input ?? {}) as Record<string, string | undefined>;
    const about = [says ? `“${says}”` : 'No speech', sound].filter(Boolean).join(' · ');
    return html`<li><p class="question"><b dir="auto">${scene ?? prompt}</b><br><small dir="auto">${about}</small></p>${running(job) ? this.#progress(job) : job.status === 'succeeded' ? this.#done(job) : this.#ended(job)}</li>`;
  }

  #progress(job: Prediction): TemplateResult {
    const percent = Number(/(\d+)%(?![\s\S]*\d%)/.exec(job.logs)?.[1] ?? NaN);
    const step = /(\d+)\/(\d+)(?![\s\S]*\d\/\d)/.exec(job.logs);
    const waited = Date.now() - Date.parse(job.created_at);
    const doing = waited > LATE ? 'Taking longer than usual. You can leave; it will be here.' : job.status === 'starting' ? 'Waiting for a place' : 'Making your clip';
    return html`<div class="card making"><b>${doing}</b><b>${Number.isNaN(percent) ? '' : `${percent} %`}</b>
      <progress max="100" .value=${Number.isNaN(percent) ? 0 : percent} aria-label="Making your clip" aria-valuetext=${step ? `step ${step[1]} of ${step[2]}` : doing}></progress>
      <small class="quiet">${step ? `Step ${step[1]} of ${step[2]}` : ''}</small><button class="small" @click=${() => void this.#cancel(job)}>Cancel</button></div>`;
  }

  #done(job: Prediction): TemplateResult {
    const { receipt } = job;
    return html`<div class="player"><video controls playsinline preload="metadata" src=${job.output!} aria-label="The clip" @loadedmetadata=${() => { if (job === this.jobs?.at(-1)) this.#toEnd(); }}></video><span class="chip label">AI-generated</span></div>
      <p class="buttons"><small class="quiet">${receipt?.total_ms ? `Made in ${Math.round(receipt.total_ms / 1000)} s · ` : ''}${clock(receipt?.duration_s)} · ${credits(receipt?.cost_usd)} credits</small>
        <button class="small" @click=${() => void this.#again(job)}>Make another</button><a class="button small" href=${job.output!} target="_blank" rel="noreferrer">Direct link</a></p>`;
  }

  #ended(job: Prediction): TemplateResult {
    const charged = credits(job.receipt?.cost_usd);
    const words = job.status === 'canceled' ? 'Canceled.' : job.error ?? 'It failed.';
    return html`<p class="card"><span dir="auto">${words}</span> <small class="quiet">${charged ? `${charged} credits were charged.` : 'Nothing was charged.'}</small> <button class="small" @click=${() => void this.#again(job)}>Try again</button></p>`;
  }
}

customElements.define('clips-page', ClipsPage);
