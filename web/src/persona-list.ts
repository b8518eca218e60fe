/** One's personas: searched from twelve up; of ten thousand only those in view are in the document. */

import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { Persona } from './session.js';
import { link, View } from './view.js';

const SEARCHED = 12; // personas from which on they are searched
const ROW = 48, TILE = 60; // px of a row, and of a tile where they lie side by side: see style.css
const BESIDE = 6; // personas kept before and after those in view
const PHONE = matchMedia('(max-width: 719px)');

export class PersonaList extends View {
  static override properties = { personas: { attribute: false }, current: { attribute: false }, search: { state: true }, first: { state: true }, count: { state: true } };
  declare personas: Persona[];
  declare current: string | undefined;
  declare search: string;
  declare first: number;
  declare count: number;
  #watching = new ResizeObserver(() => this.#look());
  #focus: number | undefined;

  constructor() {
    super();
    Object.assign(this, { personas: [], search: '', first: 0, count: 30 });
  }

  override firstUpdated(): void { this.#watching.observe(this.#list); }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#watching.disconnect();
  }

  get #list(): HTMLElement { return this.querySelector('.personas')!; }

  get #shown(): Persona[] {
    const words = this.search.toLowerCase();
    return words ? this.personas.filter((one) => one.name.toLowerCase().includes(words)) : this.personas;
  }

  /** Which are in view. */
  #look(): void {
    const list = this.#list, extent = PHONE.matches ? TILE : ROW;
    const [from, size] = PHONE.matches ? [Math.abs(list.scrollLeft), list.clientWidth] : [list.scrollTop, list.clientHeight];
    this.first = Math.max(0, Math.floor(from / extent) - BESIDE);
    this.count = Math.ceil(size / extent) + 2 * BESIDE;
  }

  override updated(changed: PropertyValues<this>): void {
    if (changed.has('current') && this.current) this.#show(this.#shown.findIndex((one) => one.id === this.current));
    const list = this.querySelector('ul')!, extent = PHONE.matches ? TILE : ROW, shown = this.#shown.length;
    const before = Math.min(this.first, shown) * extent, after = Math.max(0, shown - this.first - this.count) * extent;
    list.style.paddingBlock = PHONE.matches ? '' : `${before}px ${after}px`;
    list.style.paddingInline = PHONE.matches ? `${before}px ${after}px` : '';
    if (this.#focus !== undefined) this.querySelector<HTMLElement>(`[data-place="${this.#focus}"]`)?.focus();
    this.#focus = undefined;
  }

  /** Scroll no further than is needed. */
  #show(place: number): void {
    if (place < 0) return;
    const list = this.#list, extent = PHONE.matches ? TILE : ROW, at = place * extent;
    if (PHONE.matches) {
      if (at < list.scrollLeft || at + extent > list.scrollLeft + list.clientWidth) list.scrollLeft = at;
    } else if (at < list.scrollTop) list.scrollTop = at;
    else if (at + extent > list.scrollTop + list.clientHeight) list.scrollTop = at + extent - list.clientHeight;
    this.#look();
  }

  /** One tab stop; arrows go on from there. */
  #onKey = (event: KeyboardEvent): void => {
    const place = Number((event.target as HTMLElement).closest<HTMLElement>('[data-place]')?.dataset['place']);
    const last = this.#shown.length - 1;
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: last }[event.key];
    if (to === undefined || !Number.isFinite(to)) return;
    event.preventDefault();
    this.#focus = Math.min(Math.max(0, to), last);
    this.#show(this.#focus);
    this.requestUpdate();
  };

  override render(): TemplateResult {
    const shown = this.#shown, drawn = shown.slice(this.first, this.first + this.count);
    const stop = Math.max(0, shown.findIndex((one) => one.id === this.current));
    return html`
      ${this.personas.length >= SEARCHED ? html`<input type="search" aria-label="Search personas" placeholder="Search" @input=${(event: InputEvent) => { this.search = (event.target as HTMLInputElement).value; this.#list.scrollTop = 0; this.#look(); }}>` : nothing}
      <div class="personas" @scroll=${() => this.#look()} @keydown=${this.#onKey}><ul>${repeat(drawn, (one) => one.id, (one, index) => {
        const place = this.first + index;
        const reached = place === stop || (index === 0 && (stop < this.first || stop >= this.first + this.count));
        return html`<li aria-setsize=${shown.length} aria-posinset=${place + 1}><a href=${`/talk/${one.id}`} data-place=${place} tabindex=${reached ? nothing : '-1'}
          aria-label=${one.name} aria-current=${one.id === this.current ? 'true' : nothing} @click=${link}>
          <img alt="" width="36" height="36" src=${one.poster ?? one.portrait ?? BLANK}><span><b dir="auto">${one.name}</b><small dir="auto">${one.description || one.appearance || 'No talks yet'}</small></span></a></li>`;
      })}</ul></div>
      ${this.search && !shown.length ? html`<p class="quiet">Nobody of that name.</p>` : nothing}`;
  }
}

const BLANK = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path fill="#8886" d="M0 0h8v8H0zM4 1.6a1.3 1.3 0 1 1 0 2.8 1.3 1.3 0 0 1 0-2.8zM1.6 8a2.4 2.6 0 0 1 4.8 0z"/></svg>')}`;

customElements.define('persona-list', PersonaList);
