/** What is left, what it went for, and more to buy. */

import { html, nothing, type TemplateResult } from 'lit';
import type { components } from './openapi.js';
import { api, body, type Prediction } from './session.js';
import { View } from './view.js';

type Billing = components['schemas']['Billing'];
type Line = components['schemas']['LedgerLine'];
type Order = components['schemas']['Order'];
const ANSWER = 15, FILM = 2000; // credits: an answer of ten seconds by the CPU engine, a film of a minute, rounded up
const SETTLES = 3000; // ms between two looks at an order that is not paid yet
const LOOKS = 20;
const MODELS: Record<string, string> = { film: 'Films', talk: 'Answers', clip: 'Clips', portrait: 'Pictures', lipsync: 'Lip-sync' };
const LIMITS: Record<string, string> = { running: 'At the same time', minute: 'A minute' };
const number = (value: number): string => Math.round(value).toLocaleString('en');
const price = (amount: number, currency: string): string => {
  const digits = new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2, whole = amount / 10 ** digits;
  return new Intl.NumberFormat('en', { style: 'currency', currency, minimumFractionDigits: Number.isInteger(whole) ? 0 : digits }).format(whole);
};

export class CreditsPage extends View {
  static override properties = { billing: { state: true }, lines: { state: true }, older: { state: true }, orders: { state: true }, jobs: { state: true }, failure: { state: true }, note: { state: true }, paying: { state: true } };
  declare billing: Billing | undefined;
  declare lines: Line[] | undefined;
  declare older: number | null;
  declare orders: Order[];
  declare jobs: Prediction[];
  declare failure: string;
  declare note: string;
  declare paying: string;
  #looking: ReturnType<typeof setTimeout> | undefined;

  constructor() { super(); Object.assign(this, { older: null, orders: [], jobs: [], failure: '', note: '', paying: '' }); }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('pageshow', this.#shown);
    const query = new URLSearchParams(location.search), order = query.get('order');
    if (query.has('left')) this.note = 'Nothing was charged.';
    if (order) void this.#landed(order, 0);
    void this.#load();
  }
  override disconnectedCallback(): void { super.disconnectedCallback(); clearTimeout(this.#looking); removeEventListener('pageshow', this.#shown); }

  /** Come back by the browser's own button: the page is as it was left. */
  #shown = (event: PageTransitionEvent): void => { if (event.persisted) { this.paying = ''; void this.#load(); } };

  async #load(): Promise<void> {
    try {
      const [billing, ledger, orders, jobs] = await Promise.all([body(api.GET('/v1/billing')), body(api.GET('/v1/billing/ledger')), body(api.GET('/v1/billing/orders')), body(api.GET('/v1/predictions'))]);
      Object.assign(this, { billing, lines: ledger.results, older: ledger.before, orders: orders.results, jobs: jobs.results.filter((one) => ['starting', 'processing'].includes(one.status)) });
    } catch (error) { this.failure = (error as Error).message; }
  }

  async #more(): Promise<void> {
    try {
      const page = await body(api.GET('/v1/billing/ledger', { params: { query: { before: this.older ?? undefined } } }));
      this.lines = [...this.lines ?? [], ...page.results];
      this.older = page.before;
    } catch (error) { this.failure = (error as Error).message; }
  }

  /** Come back from paying, perhaps before Stripe has told of it. */
  async #landed(id: string, looks: number): Promise<void> {
    try {
      const order = await body(api.GET('/v1/billing/orders/{order}', { params: { path: { order: id } } }));
      this.note = {
        paid: `Thank you. ${number(order.credits)} credits are here.`,
        pending: 'Your bank takes up to 5 days. The credits come when it has paid.',
        open: 'Waiting for Stripe to say that it was paid.',
        failed: 'The payment failed. Nothing was charged.',
        expired: 'The payment was not finished in time. Nothing was charged.',
        mismatch: 'What was paid is not what was ordered, so that no credits were booked. Write to whoever runs this backend.',
      }[order.status];
      if (order.status === 'open' && looks < LOOKS && this.isConnected) this.#looking = setTimeout(() => void this.#landed(id, looks + 1), SETTLES);
      if (order.status !== 'open') { history.replaceState(null, '', '/credits'); void this.#load(); this.dispatchEvent(new CustomEvent('account', { bubbles: true })); }
    } catch (error) {
      this.failure = (error as Error).message;
      if (looks < LOOKS && this.isConnected) this.#looking = setTimeout(() => void this.#landed(id, looks + 1), SETTLES);
    }
  }

  async #buy(pack: 'small' | 'medium' | 'large'): Promise<void> {
    if (this.paying) return;
    this.paying = pack;
    this.failure = '';
    try {
      location.assign((await body(api.POST('/v1/billing/checkout', { body: { pack } }))).url);
    } catch (error) { this.failure = (error as Error).message; this.paying = ''; }
  }

  async #cancel(job: Prediction): Promise<void> {
    await body(api.POST('/v1/predictions/{public}/cancel', { params: { path: { public: job.id } } })).catch((error: Error) => { this.failure = error.message; });
    await this.#load();
  }

  override render(): TemplateResult {
    return html`<section class="page credits-page"><header><h1>Credits</h1></header>
      ${this.note ? html`<p class="card notice" role="status">${this.note}</p>` : nothing}
      ${this.failure ? html`<p class="refusal" role="alert">${this.failure}</p>` : nothing}
      ${this.billing ? html`<div class="columns"><div>${this.#balance(this.billing)}${this.#packs(this.billing)}${this.#ledger()}</div><aside>${this.#month(this.billing)}${this.#limits(this.billing)}${this.#receipts()}
        ${this.billing.packs.length ? html`<p class="card quiet">Paying happens on Stripe’s page${this.billing.mode === 'test' ? ', here in its test mode: no money moves' : ''}. Your card never reaches us.</p>` : nothing}</aside></div>` : nothing}</section>`;
  }

  #balance({ balance, held }: Billing): TemplateResult {
    const state = balance <= 0 ? 'none' : balance < 100 ? 'low' : '', full = Math.max(balance + held, 5000);
    return html`<section class="card meter ${state}"><p class="balance"><b>${number(Math.floor(balance))}</b> credits left, worth ${(Math.max(0, balance) / 1000).toFixed(2)} US dollars</p>
      <svg class="bar-of" viewBox="0 0 100 1" preserveAspectRatio="none" role="img" aria-label=${`${number(balance)} left, ${number(held)} held`}><rect class="track" width="100" height="1" /><rect class="held" width=${Math.max(0, (balance + held) * 100 / full)} height="1" /><rect class="left" width=${Math.max(0, balance * 100 / full)} height="1" /></svg>
      <p>${balance <= 0 ? 'Buy more to go on.' : `Enough for about ${number(Math.floor(balance / ANSWER))} answers${balance >= FILM ? ` or ${number(Math.floor(balance / FILM))} films of a minute` : ''}.`}
        ${held >= 1 ? html`<span class="quiet">${number(held)} more are held for work in progress; what it does not use comes back.</span>` : nothing}</p>
      ${this.jobs.length ? html`<ul class="jobs-list">${this.jobs.map((job) => html`<li><span><b>${job.model.split('/')[1]}</b> ${job.status}</span><button class="small" @click=${() => void this.#cancel(job)}>Cancel</button></li>`)}</ul>` : nothing}</section>`;
  }

  #packs({ packs }: Billing): TemplateResult {
    const best = packs[Math.floor(packs.length / 2)]?.pack, dearest = packs[0] ? packs[0].amount / packs[0].credits : 0;
    return html`<h2>Buy more</h2>${packs.length ? html`<ul class="packs">${packs.map((one) => {
      const less = Math.round(100 * (1 - one.amount / one.credits / dearest));
      return html`<li class="card"><b>${number(one.credits)}</b><small class="quiet">${less > 0 ? `${less} % less` : one.credits < 4 * FILM ? `about ${number(one.credits / ANSWER)} answers` : `about ${number(one.credits / FILM)} films`}</small>
        <button class=${one.pack === best ? 'first' : ''} ?disabled=${Boolean(this.paying)} aria-label=${`Buy ${number(one.credits)} credits for ${price(one.amount, one.currency)}`} @click=${() => void this.#buy(one.pack as 'small' | 'medium' | 'large')}>${this.paying === one.pack ? 'Opening Stripe’s page' : price(one.amount, one.currency)}</button></li>`;
    })}</ul>` : html`<p class="quiet">Credits are not sold here. Whoever runs this backend gives them.</p>`}`;
  }

  #ledger(): TemplateResult {
    return html`<h2>What happened</h2>
      ${this.lines?.length === 0 ? html`<p class="quiet">Nothing yet.</p>` : html`<div class="scroll card flush"><table class="ledger"><thead><tr><th>What</th><th>When</th><th>Credits</th><th>Balance</th></tr></thead><tbody>${this.lines?.map((line) => html`<tr><td dir="auto">${what(line)}</td><td class="quiet">${when(line.at)}</td><td class=${line.credits > 0 ? 'good' : ''}><b>${line.credits > 0 ? '+' : '−'}${number(Math.abs(line.credits))}</b></td><td class="quiet">${number(line.balance)}</td></tr>`)}</tbody></table></div>`}
      ${this.older ? html`<button @click=${() => void this.#more()}>Show more</button>` : nothing}`;
  }

  #month({ month }: Billing): TemplateResult {
    const found = Object.entries(month).sort(([, a], [, b]) => b - a), most = found[0]?.[1] ?? 1;
    return html`<section class="card"><h2>This month</h2>${found.length ? html`<dl class="month">${found.map(([model, spent]) => html`<div><dt>${MODELS[model] ?? model}</dt><dd>${number(spent)}</dd><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="1" /><rect class="left" width=${spent * 100 / most} height="1" /></svg></div>`)}</dl>` : html`<p class="quiet">Nothing was charged.</p>`}</section>`;
  }

  #limits({ limits }: Billing): TemplateResult {
    return html`<section class="card"><h2>Plan and limits</h2><dl class="pairs">${limits.map((one) => html`<div><dt>${LIMITS[one.name] ?? one.name}</dt><dd>${number(one.used)} of ${number(one.limit)}</dd></div>`)}</dl></section>`;
  }

  #receipts(): TemplateResult | typeof nothing {
    const paid = this.orders.filter((one) => one.paid_at);
    return paid.length ? html`<section class="card"><h2>Receipts</h2><ul class="receipts">${paid.map((one) => html`<li><span>${when(one.paid_at!)} · ${price(one.amount, one.currency)}${one.refunded ? `, ${price(one.refunded, one.currency)} paid back` : ''}</span>
      <span>${one.receipt_url ? html`<a href=${one.receipt_url} target="_blank" rel="noopener">Receipt</a>` : nothing} ${one.invoice_url ? html`<a href=${one.invoice_url} target="_blank" rel="noopener">Invoice</a>` : nothing}</span></li>`)}</ul></section>` : nothing;
  }
}

const when = (time: string): string => new Date(time).toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

const what = (line: Line): string => {
  if (line.kind === 'purchase') return line.credits > 0 ? `Bought ${number(line.credits)} credits` : 'Purchase taken back';
  if (line.kind === 'refund') return 'Money paid back';
  if (line.kind === 'dispute') return line.credits < 0 ? 'Payment disputed' : 'Dispute won';
  if (line.kind === 'grant') return 'Given to begin with';
  if (line.model === 'film') return `Film “${line.about ?? ''}”`;
  if (line.model === 'clip') return `Clip “${(line.about ?? '').slice(0, 60)}”`;
  const name = ({ talk: 'Talk', portrait: 'Portrait', lipsync: 'Lip-sync' } as Record<string, string>)[line.model ?? ''] ?? 'Something that was deleted';
  return line.persona ? `${name}, ${line.persona}` : name;
};

customElements.define('credits-page', CreditsPage);
