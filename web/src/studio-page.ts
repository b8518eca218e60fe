/** All films: what needs a person, what is being made, what is done; and a new one. */

import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import './channels-card.js';
import { doing, segments, type Project } from './film.js';
import type { components } from './openapi.js';
import { api, body, Problem, type Persona } from './session.js';
import { icon, link, navigate, View } from './view.js';

type Stats = components['schemas']['ProjectStats'];
type Overview = components['schemas']['Overview'];
type State = 'needs_you' | 'in_work' | 'finished' | 'stopped';
const FILTERS: [State | '', string][] = [['', 'All'], ['needs_you', 'Needs you'], ['in_work', 'In work'], ['finished', 'Finished'], ['stopped', 'Stopped']];
const ORDER: Record<string, number> = { waiting: 0, working: 1, ready: 1, failed: 2, succeeded: 3, canceled: 4 };
const LOOK = 3000; // ms
const LONGEST = 2000; // characters of an idea

export class StudioPage extends View {
  static override properties = { personas: { attribute: false }, making: { attribute: false }, films: { state: true }, stats: { state: true }, audience: { state: true }, next: { state: true }, failure: { state: true }, state: { state: true }, idea: { state: true }, sending: { state: true } };
  declare personas: Persona[] | undefined;
  declare making: boolean;
  declare films: Project[] | undefined;
  declare stats: Stats | undefined;
  declare audience: Overview | undefined;
  declare next: string | null;
  declare failure: string;
  declare state: State | '';
  declare idea: string;
  declare sending: boolean;
  #looking: ReturnType<typeof setTimeout> | undefined;
  #key = crypto.randomUUID();
  #loads = 0;

  constructor() {
    super();
    const state = new URLSearchParams(location.search).get('state') ?? '';
    Object.assign(this, { failure: '', next: null, idea: sessionStorage.getItem('draft-film') ?? '', sending: false, state: FILTERS.some(([one]) => one === state) ? state : '' });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    void this.updateComplete.then(() => this.#load());
    void body(api.GET('/v1/analytics')).then((found) => { this.audience = found; }, () => undefined);
  }
  override disconnectedCallback(): void { super.disconnectedCallback(); clearTimeout(this.#looking); }

  async #load(cursor?: string): Promise<void> {
    clearTimeout(this.#looking);
    if (this.making) return;
    const load = ++this.#loads;
    try {
      const page = await body(api.GET('/v1/projects', { params: { query: { state: this.state || undefined, cursor } } }));
      if (load !== this.#loads) return; // another filter was chosen meanwhile
      this.films = cursor ? [...this.films ?? [], ...page.results] : page.results;
      this.next = page.next;
      this.stats = page.stats;
      this.failure = '';
    } catch (error) { this.failure = (error as Error).message; }
    // Not by whoever has scrolled on. Somebody with a link may decide at any time.
    const working = this.films?.some((one) => ['ready', 'working'].includes(one.status));
    if (this.isConnected && !cursor) this.#looking = setTimeout(() => void this.#load(), working ? LOOK : 5 * LOOK);
  }

  #filter(state: State | ''): void {
    this.state = state;
    history.replaceState(null, '', state ? `/studio?state=${state}` : '/studio');
    void this.#load();
  }

  async #make(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (this.sending) return;
    const form = new FormData(event.target as HTMLFormElement), text = (name: string): string => String(form.get(name) ?? '').trim();
    const shapes = form.getAll('shape') as ('wide' | 'tall' | 'square')[];
    if (!shapes.length) { this.failure = 'Choose at least one shape.'; return; }
    this.sending = true;
    try {
      const style = { tone: text('tone') || undefined, avoid: text('avoid').split(',').map((one) => one.trim()).filter(Boolean), captions: text('captions') as 'words' | 'lines' | 'none', presenter: text('presenter') as 'full' | 'corner', no_match: text('no_match') as 'presenter' | 'card' };
      const made = await body(api.POST('/v1/projects', {
        params: { header: { 'idempotency-key': this.#key } },
        body: { idea: this.idea.trim(), research: text('research'), persona: text('persona'), seconds: Number(text('seconds')), shapes, style },
      }));
      sessionStorage.removeItem('draft-film');
      navigate(`/studio/${made.id}`);
    } catch (error) { 
      this.failure = (error as Error).message;
      // Where the outcome is not known, trying again must not begin a second film.
      if (error instanceof Problem && error.status >= 400 && error.status < 500) this.#key = crypto.randomUUID();
    } finally { this.sending = false; }
  }

  override render(): TemplateResult { return this.making ? this.#form() : this.#list(); }

  #list(): TemplateResult {
    const { stats } = this, films = [...this.films ?? []].sort((a, b) => ORDER[a.status]! - ORDER[b.status]!);
    return html`<section class="page studio"><header><h1>Studio</h1><a class="button first" href="/studio/new" @click=${link}>${icon('plus')} New film</a></header>
      ${stats ? html`<dl class="stats card"><div><dd>${stats.in_work}</dd><dt>films in work</dt></div><div><dd>${stats.needs_you}</dd><dt>need you</dt></div><div><dd>${this.audience?.published ?? '–'}</dd><dt>published</dt></div><div><dd>${this.audience ? this.audience.views.toLocaleString('en') : '–'}</dd><dt>views</dt></div><div><dd>${stats.credits_a_film == null ? '–' : Math.round(stats.credits_a_film).toLocaleString('en')}</dd><dt>credits a film, on average</dt></div></dl>` : nothing}
      <channels-card></channels-card>
      <div class="chips" role="group" aria-label="Filter">${FILTERS.map(([state, name]) => html`<button class="pill" aria-pressed=${this.state === state} @click=${() => this.#filter(state)}>${name}${stats ? ` ${state ? stats[state] : stats.all}` : ''}</button>`)}</div>
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.films && !films.length ? html`<section class="empty"><h2>${this.state ? 'None of these' : 'No film yet'}</h2><p>Write one sentence. You get three scripts to choose from.</p><a class="button first" href="/studio/new" @click=${link}>New film</a></section>` : nothing}
      <ul class="films-list">${repeat(films, (one) => one.id, (one) => this.#row(one))}</ul>
      ${this.next ? html`<button @click=${() => void this.#load(new URL(this.next!, location.href).searchParams.get('cursor') ?? undefined)}>Show more</button>` : nothing}</section>`;
  }

  #row(one: Project): TemplateResult {
    const persona = this.personas?.find((found) => found.id === one.persona), waits = one.status === 'waiting';
    const verb = one.waiting_for === 'script' ? 'Choose' : one.waiting_for === 'film' ? 'Watch' : one.status === 'failed' || one.waiting_for ? 'Retry' : 'Open';
    return html`<li><img alt="" width="72" height="72" src=${persona?.poster ?? persona?.portrait ?? BLANK}><div class="what"><a href=${`/studio/${one.id}`} @click=${link} dir="auto">${one.input.idea}</a><span class=${one.status === 'failed' ? 'bad' : 'quiet'} dir="auto">${doing(one)}</span></div>
      <div>${segments(one)}<small class="quiet">${when(one.updated_at)}</small></div>
      <span class="cost"><b>${Math.ceil(one.cost_credits ?? 0).toLocaleString('en')}</b><small class="quiet">credits</small></span>
      <a class=${waits ? 'button small first' : 'button small'} href=${`/studio/${one.id}`} aria-label=${`${verb}: ${one.input.idea}`} @click=${link}>${verb}</a></li>`;
  }

  #form(): TemplateResult {
    const ready = (this.personas ?? []).filter((one) => one.portrait), left = LONGEST - this.idea.length;
    return html`<section class="page form-page studio"><header><h1>New film</h1></header>
      ${ready.length || !this.personas ? nothing : html`<p class="refusal">A film is told by a persona with a portrait. Make one first.</p>`}
      <form @submit=${(event: SubmitEvent) => void this.#make(event)}><div class="fields">
        <label>What is it about?<textarea name="idea" rows="4" required minlength="3" dir="auto" placeholder="Why the sea is salt" .value=${this.idea} @input=${(event: InputEvent) => { this.idea = (event.target as HTMLTextAreaElement).value; sessionStorage.setItem('draft-film', this.idea); }}></textarea>
          <small class=${left < 0 ? 'count over' : 'count'}>${this.idea.length.toLocaleString('en')} of ${LONGEST.toLocaleString('en')}</small></label>
        <label>Who tells it?<select name="persona">${ready.map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select></label>
        <label>About how long?<select name="seconds"><option value="30">30 seconds</option><option value="60" selected>1 minute</option><option value="120">2 minutes</option><option value="180">3 minutes</option></select></label>
        <fieldset class="choices"><legend>Shapes</legend>${[['wide', '16:9'], ['tall', '9:16'], ['square', '1:1']].map(([value, name]) => html`<label class="consent"><input type="checkbox" name="shape" value=${value!} ?checked=${value === 'wide'}> ${name}</label>`)}</fieldset>
        ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
        <p class="quiet">${this.stats?.credits_a_film ? `About ${Math.round(this.stats.credits_a_film).toLocaleString('en')} credits, as your films were on average.` : 'It says what it costs, step by step, and stops where your credits do.'}</p>
        <p class="buttons"><button class="first" ?disabled=${this.sending || left < 0 || !ready.length || this.idea.trim().length < 3}>Write three scripts</button></p></div>
        <div class="fields">
        <label>Facts to draw from<textarea name="research" rows="4" dir="auto" maxlength="20000" placeholder="Notes, sources. Without them the writer uses what it knows."></textarea></label>
        <label>Tone<input name="tone" dir="auto" maxlength="200" placeholder="friendly and exact"></label>
        <label>Words to avoid, with commas<input name="avoid" dir="auto" maxlength="400"></label>
        <label>Captions<select name="captions"><option value="words">The spoken word lit</option><option value="lines">Lines</option><option value="none">None</option></select></label>
        <label>Where no footage fits<select name="no_match"><option value="presenter">the persona speaks</option><option value="card">the sentence is written out</option></select></label>
        <label>Over footage, the persona is<select name="presenter"><option value="full">not seen</option><option value="corner">in a corner</option></select></label></div></form></section>`;
  }
}

function when(time: string): string {
  const minutes = Math.round((Date.now() - new Date(time).getTime()) / 60_000);
  return minutes < 1 ? 'just now' : minutes < 60 ? `${minutes} min ago` : minutes < 1440 ? `${Math.round(minutes / 60)} h ago` : new Date(time).toLocaleDateString();
}

const BLANK = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#8886" d="M0 0h8v8H0z"/></svg>')}`;

customElements.define('studio-page', StudioPage);
