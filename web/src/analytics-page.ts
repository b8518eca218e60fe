/** Who watched: all films, or one of them sentence by sentence; and what that changes. */

import { html, nothing, type TemplateResult } from 'lit';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { components } from './openapi.js';
import { api, body } from './session.js';
import { clock, link, View } from './view.js';

type Overview = components['schemas']['Overview'];
type Analytics = components['schemas']['Analytics'];
type Learned = components['schemas']['Learned'];
const WORDS: Record<string, string> = { question: 'Films that open with a question', short_opening: 'A first sentence of eight words or fewer', addressed: 'Saying you at the beginning', numbers: 'A number in the first two sentences', short_sentences: 'Ten words a sentence or fewer', long_words: 'Many long words' };
const number = (value: number): string => Math.round(value).toLocaleString('en');
const dollars = (value: number): string => `$${value.toFixed(2)}`;
const points = (value: number): string => `${value > 0 ? '−' : '+'}${Math.abs(Math.round(value))}`;
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const day = (text: string): string => new Date(`${text}T12:00`).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });

export class AnalyticsPage extends View {
  static override properties = { film: { attribute: false }, overview: { state: true }, found: { state: true }, failure: { state: true }, chosen: { state: true } };
  declare film: string | undefined;
  declare overview: Overview | undefined;
  declare found: Analytics | undefined;
  declare failure: string;
  declare chosen: number; // sentence
  #plots: uPlot[] = [];
  #watching = new ResizeObserver(() => this.#sized());

  constructor() { super(); Object.assign(this, { failure: '', chosen: 0 }); }

  override connectedCallback(): void { super.connectedCallback(); void this.updateComplete.then(() => this.#load()); }
  override disconnectedCallback(): void { super.disconnectedCallback(); this.#clear(); this.#watching.disconnect(); }

  async #load(): Promise<void> {
    try {
      const path = { params: { path: { project: this.film! } } };
      [this.overview, this.found] = await Promise.all([body(api.GET('/v1/analytics')), this.film ? body(api.GET('/v1/projects/{project}/analytics', path)) : undefined]);
      this.chosen = this.#worst?.number ?? 0;
    } catch (error) { this.failure = (error as Error).message; }
  }

  get #worst() { return this.found?.sentences.reduce((most, one) => one.lost > most.lost ? one : most, this.found.sentences[0]!); }

  #clear(): void { for (const plot of this.#plots) plot.destroy(); this.#plots = []; }

  #sized(): void { for (const plot of this.#plots) { const width = plot.root.parentElement?.clientWidth ?? 0; if (width && width !== plot.width) plot.setSize({ width, height: plot.height }); } }

  override updated(changed: Map<string, unknown>): void {
    // Set here: the page's content security takes no style in what is written.
    for (const [at, one] of [...this.querySelectorAll<HTMLElement>('.rail button')].entries()) { const said = this.found!.sentences[at]!; one.style.flex = String(Math.max(0.1, said.end - said.start)); }
    if (changed.has('found')) this.#draw();
    else if (changed.has('chosen')) this.#plots[0]?.redraw();
  }

  #draw(): void {
    this.#clear();
    const { found } = this, curve = this.querySelector<HTMLElement>('.curve'), views = this.querySelector<HTMLElement>('.views');
    if (!found) return;
    const grid = { stroke: colour('--line'), width: 1 }, axis = { stroke: colour('--ink-3'), font: '12px system-ui', grid, ticks: { show: false } };
    if (curve && found.curve.length) {
      const times = found.curve.map((_, at) => found.seconds * (at + 1) / found.curve.length);
      const whole = (line: number[]): number[] => [Math.max(1, line[0]!) * 100, ...line.map((share) => share * 100)];
      const data = [[0, ...times], whole(found.curve), ...(found.usual.length ? [whole(found.usual)] : [])] as uPlot.AlignedData;
      const series: uPlot.Series[] = [{}, { stroke: colour('--accent'), width: 2.5, points: { show: false } }];
      if (found.usual.length) series.push({ stroke: colour('--ink-3'), width: 1.5, dash: [4, 4], points: { show: false } });
      const shade = (plot: uPlot): void => {
        const one = found.sentences.find((sentence) => sentence.number === this.chosen);
        if (!one) return;
        const left = plot.valToPos(one.start, 'x', true), right = plot.valToPos(one.end, 'x', true);
        plot.ctx.save();
        plot.ctx.fillStyle = colour('--bad-soft');
        plot.ctx.fillRect(left, plot.bbox.top, right - left, plot.bbox.height);
        plot.ctx.restore();
      };
      this.#plots.push(new uPlot({
        width: curve.clientWidth, height: 250, padding: [8, 8, 0, 0], legend: { show: false }, cursor: { show: false }, select: { show: false, left: 0, top: 0, width: 0, height: 0 }, series,
        scales: { x: { time: false, range: [0, found.seconds] }, y: { range: (_plot, _least, most) => [0, Math.max(100, most)] } },
        axes: [{ ...axis, values: (_plot, ticks) => ticks.map((one) => clock(one)), grid: { show: false }, size: 28 }, { ...axis, values: (_plot, ticks) => ticks.map((one) => `${one} %`), size: 56 }],
        hooks: { drawClear: [shade] },
      }, data, curve));
    }
    if (views && found.days.length) {
      const data = [found.days.map((_, at) => at), found.days.map((one) => one.views)] as uPlot.AlignedData;
      this.#plots.push(new uPlot({
        width: views.clientWidth, height: 110, legend: { show: false }, cursor: { show: false }, select: { show: false, left: 0, top: 0, width: 0, height: 0 },
        scales: { x: { time: false, range: [-0.5, found.days.length - 0.5] }, y: { range: (_plot, _least, most) => [0, most] } }, axes: [{ show: false }, { show: false }],
        series: [{}, { paths: uPlot.paths.bars!({ size: [0.8, 40] }), fill: colour('--edge'), stroke: colour('--edge'), points: { show: false } }],
      }, data, views));
    }
    for (const plot of this.#plots) if (plot.root.parentElement) this.#watching.observe(plot.root.parentElement);
  }

  override render(): TemplateResult {
    if (this.failure) return html`<section class="page"><p class="refusal" role="alert">${this.failure}</p></section>`;
    if (!this.overview) return html`<section class="page"><p class="quiet">One moment…</p></section>`;
    return this.film && this.found ? this.#one(this.found) : this.#all(this.overview);
  }

  #stats(pairs: [string, string][]): TemplateResult { return html`<dl class="stats card">${pairs.map(([value, name]) => html`<div><dd>${value}</dd><dt>${name}</dt></div>`)}</dl>`; }

  #all(found: Overview): TemplateResult {
    return html`<section class="page analytics"><header><h1>Analytics</h1></header>
      ${this.#stats([[number(found.published), 'films are public'], [number(found.views), 'views'], [number(found.minutes), 'minutes watched'], [found.revenue == null ? '–' : dollars(found.revenue), 'earned at YouTube'], [found.credits_a_film == null ? '–' : number(found.credits_a_film), 'credits a film at YouTube']])}
      ${found.results.length ? html`<div class="scroll card flush"><table class="ledger"><thead><tr><th>Film</th><th>State</th><th>Views</th><th>Watched</th></tr></thead><tbody>${found.results.map((one) => html`<tr><td dir="auto"><a href=${`/analytics/${one.project}`} @click=${link}>${one.publication.title}</a></td><td class="quiet">${one.publication.state}</td><td>${number(one.views)}</td><td>${one.watched == null ? '–' : `${Math.round(one.watched * 100)} %`}</td></tr>`)}</tbody></table></div>`
        : html`<section class="empty"><h2>No film is at YouTube yet</h2><p>Approve one in the studio and say how it is to be published.</p><a class="button first" href="/studio" @click=${link}>Studio</a></section>`}
      ${this.#learned(found.learned)}</section>`;
  }

  #one(found: Analytics): TemplateResult {
    const { publication } = found, watched = found.curve.length ? found.curve.reduce((sum, one) => sum + one, 0) / found.curve.length : undefined;
    const sum = (name: 'engaged_views' | 'minutes'): number => found.days.reduce((total, one) => total + one[name], 0), most = found.days.reduce((best, one) => one.views > best.views ? one : best, found.days[0]!);
    return html`<section class="page analytics"><p class="quiet crumbs"><a href="/analytics" @click=${link}>Analytics</a></p><header><h1 dir="auto">${publication.title} <span class="tag">${publication.state}</span></h1></header>
      ${this.#stats([[number(found.views), 'views'], [number(sum('engaged_views')), 'engaged views'], [number(sum('minutes')), 'minutes watched'], [watched === undefined ? '–' : `${Math.round(watched * 100)} %`, 'watched on average'], ...(found.days.some((one) => one.revenue != null) ? [[dollars(found.days.reduce((total, one) => total + (one.revenue ?? 0), 0)), 'earned'] as [string, string]] : [])])}
      <div class="columns"><div>${this.#curve(found)}${this.#learned(this.overview!.learned)}</div><aside>${this.#sentences(found)}
        <section class="card"><header class="row"><h2>Views by day</h2>${found.days.length ? html`<small class="quiet">most on ${day(most.day)}: ${number(most.views)}</small>` : nothing}</header>
          ${found.days.length ? html`<div class="views" role="img" aria-label=${found.days.map((one) => `${day(one.day)}: ${one.views}`).join(', ')}></div><p class="row quiet"><span>${day(found.days[0]!.day)}</span><span>${day(found.days.at(-1)!.day)}</span></p>` : html`<p class="quiet">YouTube’s numbers come about three days late.</p>`}</section></aside></div></section>`;
  }

  #curve(found: Analytics): TemplateResult {
    const worst = this.#worst, last = found.days.at(-1)?.day;
    const said = !found.curve.length ? 'There is no curve yet' : !found.enough ? `${number(found.views)} views so far` : worst ? `The curve falls most at ${clock(worst.start)} to ${clock(worst.end)}, sentence ${worst.number}` : 'How many go on watching';
    return html`<section class="card"><h2>${said}</h2>
      <p class="quiet" dir="auto">${!found.curve.length ? 'YouTube’s numbers come about three days late.' : !found.enough ? 'From 200 on we learn from this film.' : worst ? `“${worst.text}”` : ''}</p>
      ${found.curve.length ? html`<div class="curve" role="img" aria-label="The share of viewers who go on watching, by time; the list of sentences has the numbers"></div>
        <div class="rail" aria-hidden="true">${found.sentences.map((one) => html`<button tabindex="-1" class=${one.number === this.chosen ? 'chosen' : ''} @click=${() => { this.chosen = one.number; }}>${one.number}</button>`)}</div>
        <p class="quiet">${found.usual.length ? 'Dashed: your usual film. ' : ''}${last ? `YouTube’s numbers up to ${day(last)}.` : ''}</p>` : nothing}</section>`;
  }

  #sentences(found: Analytics): TemplateResult | typeof nothing {
    if (!found.sentences.length) return nothing;
    return html`<section class="card"><header class="row"><h2>By sentence</h2><small class="quiet">points lost</small></header>
      <ol class="sentences">${found.sentences.map((one) => html`<li><button aria-pressed=${one.number === this.chosen} @click=${() => { this.chosen = one.number; }}><span class="quiet">${one.number}</span><span dir="auto">${one.text}<small class="quiet">${clock(one.start)} to ${clock(one.end)}</small></span><b>${points(one.lost)}</b></button></li>`)}</ol></section>`;
  }

  #learned(found: Learned): TemplateResult {
    const sure = found.effects.filter((one) => one.certain);
    return html`<section class="card"><header class="row"><h2>What this changes</h2><span class="tag">Learned from ${found.films} ${found.films === 1 ? 'film' : 'films'}, weight ${Math.round(found.weight * 100)} %</span></header>
      ${sure.length ? html`<ul>${sure.map((one) => html`<li>${WORDS[one.feature] ?? one.feature}: ${Math.abs(Math.round(one.points))} points ${one.points > 0 ? 'more' : 'less'} of the film were watched.</li>`)}</ul><p class="quiet">The next scripts are ordered with that; each says where it was before.</p>`
        : html`<p class="quiet">Nothing yet that is more than chance. ${found.films < 8 ? 'Eight films with 200 views each are the least.' : ''} The judge’s order stands.</p>`}</section>`;
  }
}

customElements.define('analytics-page', AnalyticsPage);
