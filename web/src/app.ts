/** The page: who is signed in, where one is, and the frame around it. */

import { html, nothing, type TemplateResult } from 'lit';
import { keyed } from 'lit/directives/keyed.js';
import './approve-page.js';
import './clips-page.js';
import './analytics-page.js';
import './credits-page.js';
import './gallery-page.js';
import './keyboard.js';
import type { KeyboardList } from './keyboard.js';
import './persona-form.js';
import './persona-list.js';
import './persona-video.js';
import './project-page.js';
import './studio-page.js';
import './talk-page.js';
import { api, body, session, type Account, type Persona } from './session.js';
import { icon, link, navigate, View } from './view.js';

const MOST = 10_000; // personas that are listed
const TOAST = 6000; // ms
const PATIENCE = 300_000; // ms after a change, for loops that are being made
const LOOKED = 8; // personas whose loops are asked for at once

export class ForgeApp extends View {
  static override properties = { path: { state: true }, personas: { state: true }, account: { state: true }, failure: { state: true }, note: { state: true }, sent: { state: true } };
  declare path: string;
  declare personas: Persona[] | undefined;
  declare account: Account | undefined;
  declare failure: string;
  declare note: string;
  declare sent: boolean;
  #noting: ReturnType<typeof setTimeout> | undefined;
  #changed = Date.now();
  #loads = 0;
  #looking: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    super();
    Object.assign(this, { path: location.pathname, failure: '', note: '', sent: false });
    addEventListener('popstate', () => { this.path = location.pathname; });
    session.addEventListener('change', () => void this.#load());
    this.addEventListener('personas', () => { this.#changed = Date.now(); void this.#load(); });
    this.addEventListener('account', () => void this.#account());
    this.addEventListener('neighbour', (event) => {
      const personas = this.personas ?? [], at = personas.findIndex((one) => one.id === this.#current()?.id);
      const next = personas[at + (event as CustomEvent<number>).detail];
      if (next && at >= 0) navigate(`/talk/${next.id}`);
    });
    this.addEventListener('toast', (event) => {
      this.note = (event as CustomEvent<string>).detail;
      clearTimeout(this.#noting);
      this.#noting = setTimeout(() => { this.note = ''; }, TOAST);
    });
    void this.#load();
  }

  async #load(): Promise<void> {
    const loading = ++this.#loads;
    if (!session.token) { this.personas = undefined; this.requestUpdate(); return; }
    try {
      const found: Persona[] = [];
      let next: string | null | undefined = '';
      while (next !== null && next !== undefined && found.length < MOST) {
        const cursor: string | undefined = next ? new URL(next, location.href).searchParams.get('cursor') ?? undefined : undefined;
        const page: { results: Persona[]; next: string | null } = await body(api.GET('/v1/personas', { params: { query: { cursor } } }));
        if (loading !== this.#loads) return; // something has changed since
        found.push(...page.results);
        next = page.next;
        if (found.length > (this.personas?.length ?? 0)) this.personas = [...found]; // the first ones are there at once
      }
      this.personas = found;
      this.failure = '';
      void this.#account();
      void this.#loops();
    } catch (error) {
      this.failure = (error as Error).message;
    }
  }

  /** Loops are there a few seconds after the portrait. */
  async #loops(): Promise<void> {
    clearTimeout(this.#looking);
    const waiting = (this.personas ?? []).filter((one) => one.portrait && !one.idle).slice(0, LOOKED);
    if (!waiting.length || Date.now() - this.#changed > PATIENCE) return;
    const now = await Promise.all(waiting.map((one) => body(api.GET('/v1/personas/{persona_id}', { params: { path: { persona_id: one.id } } })).catch(() => one)));
    const made = new Map(now.filter((one) => one.idle).map((one) => [one.id, one as Persona]));
    if (made.size) this.personas = this.personas?.map((one) => made.get(one.id) ?? one);
    this.#looking = setTimeout(() => void this.#loops(), 2000);
  }

  async #account(): Promise<void> {
    this.account = await body(api.GET('/v1/account')).catch(() => this.account);
  }

  override render(): TemplateResult {
    if (this.path === '/approve') return html`<approve-page></approve-page>`;
    if (!session.token) return this.#signIn();
    const talk = this.path === '/' || this.path.startsWith('/talk/');
    return html`
      <a class="skip" href="#conversation">To the conversation</a>
      <div class=${talk ? 'shell talking' : 'shell'}>
        <nav aria-label="Main">${this.#sidebar()}</nav>
        <main>${this.failure ? html`<p class="refusal" role="alert">${this.failure} <button @click=${() => void this.#load()}>Try again</button></p>` : nothing}${this.#page()}</main>
      </div>
      <keyboard-list></keyboard-list>
      <div class="toast" role="status" ?hidden=${!this.note}>${this.note}</div>`;
  }

  #sidebar(): TemplateResult {
    const here = (path: string): string | typeof nothing => (this.path === path || (path === '/' && this.path.startsWith('/talk')) || (['/studio', '/analytics'].includes(path) && this.path.startsWith(`${path}/`)) ? 'page' : nothing);
    return html`
      <a class="brand" href="/" @click=${link}><svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true"><rect width="24" height="24" rx="6" /><path d="M7 9h2v3H7zM15 9h2v3h-2zM8 16h8" /></svg>PersonaForge</a>
      <ul class="places">
        <li><a href="/" aria-current=${here('/')} @click=${link}>${icon('talk')}<span>Talk</span></a></li>
        <li><a href="/clips" aria-current=${here('/clips')} @click=${link}>${icon('clips')}<span>Clips</span></a></li>
        <li><a href="/gallery" aria-current=${here('/gallery')} @click=${link}>${icon('gallery')}<span>Gallery</span></a></li>
        <li><a href="/studio" aria-current=${here('/studio')} @click=${link}>${icon('studio')}<span>Studio</span></a></li>
        <li><a href="/analytics" aria-current=${here('/analytics')} @click=${link}>${icon('chart')}<span>Analytics</span></a></li>
        <li><a href="/credits" aria-current=${here('/credits')} @click=${link}>${icon('credits')}<span>Credits</span></a></li>
      </ul>
      <h2>Personas <a class="round" href="/personas/new" aria-label="New persona" @click=${link}>${icon('plus')}</a></h2>
      <persona-list .personas=${this.personas ?? []} .current=${this.#current()?.id}></persona-list>
      <button class="text keys" @click=${() => this.querySelector<KeyboardList>('keyboard-list')!.show()}>Keys</button>
      ${this.account ? html`<a class="credits" href="/credits" @click=${link}><span>Credits</span><b>${Math.floor(this.account.balance).toLocaleString('en')}</b></a>` : nothing}`;
  }

  #current(): Persona | undefined {
    const id = this.path.split('/')[2];
    return this.path.startsWith('/talk/') ? this.personas?.find((one) => one.id === id) : this.path === '/' ? this.personas?.[0] : undefined;
  }

  #page(): TemplateResult | typeof nothing {
    const [, place, id, verb] = this.path.split('/');
    if (place === 'gallery' || place === 'v') return html`<gallery-page .personas=${this.personas ?? []} .video=${place === 'v' ? id : undefined}></gallery-page>`;
    if (place === 'clips') return html`<clips-page></clips-page>`;
    if (place === 'studio' && id && id !== 'new' && id !== 'connect') return html`${keyed(id, html`<project-page .project=${id}></project-page>`)}`;
    if (place === 'studio') return html`<studio-page .personas=${this.personas} .making=${id === 'new'}></studio-page>`;
    if (place === 'analytics') return html`${keyed(id ?? '', html`<analytics-page .film=${id}></analytics-page>`)}`;
    if (place === 'credits') return html`<credits-page .account=${this.account}></credits-page>`;
    if (!this.personas) return nothing;
    if (place === 'personas' && id === 'new') return html`<persona-form></persona-form>`;
    if (place === 'personas' && verb === 'edit') {
      const found = this.personas.find((one) => one.id === id);
      return found ? html`<persona-form .persona=${found}></persona-form>` : this.#gone();
    }
    if (place === 'talk' && !this.#current()) return this.#gone();
    const current = this.#current();
    if (current) return html`<talk-page .persona=${current}></talk-page>`;
    return html`<section class="empty"><h1>Nobody is here yet</h1><p>Describe somebody, or use a photo of a person who agrees.</p><a class="button first" href="/personas/new" @click=${link}>New persona</a></section>`;
  }

  #gone(): TemplateResult {
    return html`<section class="empty"><h1>This persona was deleted</h1><p>Its talks went with it.</p><a class="button" href="/" @click=${link}>Choose another</a></section>`;
  }

  #signIn(): TemplateResult {
    const attempt = (work: () => Promise<void>) => async (event: Event) => {
      event.preventDefault();
      try { await work(); this.failure = ''; } catch (error) { this.failure = (error as Error).message; }
    };
    const email = (): string => this.querySelector<HTMLInputElement>('input[type=email]')!.value;
    return html`<main class="sign-in"><section class="card"><h1>PersonaForge</h1>
      <p>Talk with somebody you made up. They answer on video, in their own voice.</p>
      ${!session.hosted ? html`<button class="first" @click=${attempt(() => session.signInHere())}>Open my studio</button>`
        : this.sent ? html`<p role="status">We sent you a link. You can close this page.</p>`
        : html`<form @submit=${attempt(async () => { await session.sendLink(email()); this.sent = true; })}>
            <label>E-mail<input type="email" required autocomplete="email"></label><button class="first">Continue with e-mail</button></form>`}
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}</section></main>`;
  }
}

customElements.define('forge-app', ForgeApp);
export { navigate };
