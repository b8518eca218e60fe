/** Talking with one persona: the stage, what is said, and what it took. */

import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import { single } from './keyboard.js';
import type { PersonaVideo, State } from './persona-video.js';
import { api, authorized, body, Problem, type Persona, type Prediction } from './session.js';
import { credits, icon, link, View } from './view.js';

interface Turn { id: string; question: string; answer: string; ms?: number; prediction?: Prediction; note?: string }
interface Recognition extends EventTarget { lang: string; interimResults: boolean; start(): void; stop(): void; abort(): void }

const DOING: Record<State, string> = { idle: 'Listening', thinking: 'Thinking', ready: 'Ready', speaking: 'Talking', stalled: 'Talking' };
const STILL_THINKING = 6000; // ms

export class TalkPage extends View {
  static override properties = { persona: { attribute: false }, turns: { state: true }, state: { state: true }, failure: { state: true }, draft: { state: true }, hearing: { state: true }, receipt: { state: true }, muted: { state: true }, captions: { state: true }, slow: { state: true }, log: { state: true }, online: { state: true } };
  declare persona: Persona;
  declare turns: Turn[];
  declare state: State;
  declare failure: { text: string; question?: string } | undefined;
  declare draft: string;
  declare hearing: boolean;
  declare receipt: Prediction | undefined;
  declare muted: boolean;
  declare captions: boolean;
  declare slow: boolean;
  declare log: boolean;
  declare online: boolean;
  #asking = 0;
  #ended = false;
  #held = false; // the space bar, to be heard
  #recognition: Recognition | undefined;
  #waiting: string | undefined;

  constructor() {
    super();
    Object.assign(this, { turns: [], state: 'idle', draft: '', hearing: false, muted: false, captions: true, slow: false, log: false, online: navigator.onLine });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    addEventListener('online', this.#onLine);
    addEventListener('offline', this.#onLine);
    addEventListener('keydown', this.#onKey);
    addEventListener('keyup', this.#onKeyUp);
    addEventListener('blur', this.#release);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    removeEventListener('online', this.#onLine);
    removeEventListener('offline', this.#onLine);
    removeEventListener('keydown', this.#onKey);
    removeEventListener('keyup', this.#onKeyUp);
    removeEventListener('blur', this.#release);
    this.#leave();
  }

  /** Nothing that was begun here goes on elsewhere. */
  #leave(): void {
    this.#asking += 1;
    this.#waiting = undefined;
    this.#recognition?.abort();
    this.#recognition = undefined;
    this.hearing = false;
  }

  get #stage(): PersonaVideo { return this.querySelector('persona-video')!; }

  override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get('persona') as Persona | undefined;
    if (!changed.has('persona') || before?.id === this.persona.id) return;
    this.#leave();
    this.failure = this.receipt = undefined;
    this.turns = [];
    this.draft = sessionStorage.getItem(`draft-${this.persona.id}`) ?? '';
    this.#ended = false;
    if (before) void this.#stage.stop();
    void this.#history();
  }

  override firstUpdated(): void {
    this.#stage.fetch = authorized;
    if (matchMedia('(min-width: 1024px)').matches) this.querySelector<HTMLTextAreaElement>('.composer textarea')?.focus();
  }

  override updated(): void {
    this.#stage.style.setProperty('--h', String(this.persona.hue ?? 85));
    this.style.setProperty('--h', String(this.persona.hue ?? 85));
  }

  /** What was said before, and what was being said when the page was left. */
  async #history(): Promise<void> {
    const persona = this.persona.id;
    const { results } = await body(api.GET('/v1/predictions', { params: { query: { persona, model: 'talk' } } }));
    if (this.persona.id !== persona) return;
    const known = results.filter((one) => one.input?.['message'] || one.input?.['say'] || one.receipt?.heard).reverse();
    const before = known.map((one): Turn => ({ id: one.id, question: String(one.input?.['message'] ?? one.receipt?.heard ?? ''), answer: one.text ?? '', ms: one.receipt?.first_frame_ms ?? undefined, prediction: one, note: note(one) }));
    const asked = this.turns; // meanwhile
    this.turns = [...before, ...asked];
    this.#scroll();
    if (asked.length) return;
    const last = known.at(-1);
    if (last && ['starting', 'processing'].includes(last.status) && !last.urls.stream) {
      await this.#listen(last, last.id, ++this.#asking);
    }
  }

  #scroll(): void {
    void this.updateComplete.then(() => { const log = this.querySelector('.turns'); if (log) log.scrollTop = log.scrollHeight; });
  }

  async #ask(question: string): Promise<void> {
    const text = question.trim();
    if (!text) return;
    if (!this.online) { this.#waiting = text; this.#setDraft(''); return; }
    const asking = ++this.#asking, id = `asking-${asking}`, persona = this.persona;
    this.failure = undefined;
    this.#setDraft('');
    void this.#stage.stop();
    this.turns = [...this.turns, { id, question: text, answer: '' }];
    this.#scroll();
    this.slow = false;
    const slow = setTimeout(() => { this.slow = true; }, STILL_THINKING);
    try {
      this.#stage.think();
      if (!persona.portrait) await this.#draw(persona);
      if (asking !== this.#asking) return;
      const job = await body(api.POST('/v1/predictions', { body: { model: 'personaforge/talk', stream: true, input: { persona: persona.id, message: text } } }));
      if (asking !== this.#asking) { // something else was asked meanwhile
        await authorized(job.urls.cancel, { method: 'POST' });
        return;
      }
      await this.#listen(job, id, asking);
    } catch (error) {
      if (asking !== this.#asking) return;
      await this.#stage.stop();
      this.turns = this.turns.filter((turn) => turn.id !== id);
      this.#fail(error as Error, text);
    } finally {
      clearTimeout(slow);
      this.slow = false;
    }
  }

  async #draw(persona: Persona): Promise<void> {
    const job = await body(api.POST('/v1/predictions', { params: { header: { prefer: 'wait=60' } }, body: { model: 'personaforge/portrait', input: { persona: persona.id } } }));
    if (job.status !== 'succeeded') throw new Problem(job.error ?? 'The portrait is not ready yet.', 0);
    this.dispatchEvent(new CustomEvent('personas', { bubbles: true }));
  }

  async #listen(job: Prediction, id: string, asking: number): Promise<void> {
    let ms: number | undefined, failed: string | undefined;
    const controller = new AbortController(), options = { signal: controller.signal };
    this.#stage.addEventListener('firstframe', (event) => {
      ms = (event as CustomEvent<{ ms: number }>).detail.ms;
      this.#change(id, { ms });
    }, options);
    this.#stage.addEventListener('caption', (event) => {
      const spoken = this.turns.find((turn) => turn.id === id)?.answer ?? '';
      this.#change(id, { answer: `${spoken} ${(event as CustomEvent<{ text: string }>).detail.text}`.trim() });
      this.#scroll();
    }, options);
    this.#stage.addEventListener('error', (event) => { failed = (event as Event as CustomEvent<{ message: string }>).detail.message; }, options);
    await this.#stage.speak(job);
    controller.abort();
    const done = await body(api.GET('/v1/predictions/{public}', { params: { path: { public: job.id } } })).catch(() => undefined);
    const said = done && note(done);
    this.#change(id, { answer: done?.text ?? '', prediction: done, ...(said && asking === this.#asking ? { note: said } : {}) });
    if (asking !== this.#asking) return;
    this.#ended = true;
    this.requestUpdate();
    this.#scroll();
    if (done?.status === 'failed') this.#fail(new Problem(done.error ?? failed ?? '', 0), this.turns.find((turn) => turn.id === id)?.question);
    this.dispatchEvent(new CustomEvent('account', { bubbles: true }));
  }

  #fail(error: Error, question?: string): void {
    this.failure = { text: error.message, question };
    if (question && !this.draft) this.#setDraft(question);
  }

  #change(id: string, change: Partial<Turn>): void {
    this.turns = this.turns.map((turn) => (turn.id === id ? { ...turn, ...change } : turn));
  }

  #setDraft(text: string): void {
    this.draft = text;
    sessionStorage.setItem(`draft-${this.persona.id}`, text);
  }

  async #stop(): Promise<void> {
    this.#asking += 1;
    const seconds = this.#stage.shadowRoot ? [...this.#stage.shadowRoot.querySelectorAll('video')].at(-1)?.currentTime ?? 0 : 0;
    const last = this.turns.at(-1);
    if (last && !last.prediction) this.#change(last.id, { note: `Stopped after ${Math.round(seconds)} s` });
    await this.#stage.stop();
  }

  #hear(): void {
    const Class = (window as unknown as Record<string, new () => Recognition>)['SpeechRecognition'] ?? (window as unknown as Record<string, new () => Recognition>)['webkitSpeechRecognition'];
    if (!Class) return;
    if (this.hearing) { this.#recognition?.stop(); return; }
    void this.#stop(); // who talks interrupts
    const recognition = (this.#recognition = new Class());
    recognition.lang = navigator.language;
    recognition.interimResults = true;
    const typed = this.draft.trim() && `${this.draft.trim()} `; // it is said on
    recognition.addEventListener('result', (event) => {
      const { results } = event as unknown as { results: ArrayLike<ArrayLike<{ transcript: string }>> };
      this.#setDraft(typed + Array.from(results, (one) => one[0]!.transcript).join(''));
    });
    let heard = false;
    recognition.addEventListener('result', () => { heard = true; });
    recognition.addEventListener('error', () => { heard = false; });
    recognition.addEventListener('end', () => {
      this.hearing = false;
      if (heard && this.#recognition === recognition) void this.#ask(this.draft);
    });
    this.hearing = true;
    recognition.start();
  }

  #onLine = (): void => {
    this.online = navigator.onLine;
    if (this.online && this.#waiting) { const text = this.#waiting; this.#waiting = undefined; void this.#ask(text); }
  };

  #onKey = (event: KeyboardEvent): void => {
    if (event.key === 'Escape' && this.state !== 'idle' && !event.isComposing && !document.querySelector('dialog[open]')) { void this.#stop(); return; }
    if (!single(event)) return;
    const key = event.key.toLowerCase(), last = this.turns.findLast((turn) => turn.prediction?.receipt)?.prediction;
    if (event.key === '/') { event.preventDefault(); this.querySelector<HTMLTextAreaElement>('.composer textarea')?.focus(); }
    else if (key === 'c') this.captions = !this.captions;
    else if (key === 'm') this.muted = !this.muted;
    else if (key === 'f') void this.querySelector('.stage')?.requestFullscreen();
    else if (key === 'r') { this.receipt = this.receipt ? undefined : last; this.log = Boolean(this.receipt); }
    else if (event.key === ' ') { event.preventDefault(); if (!event.repeat && !this.hearing) { this.#held = true; this.#hear(); } }
  };

  /** Wherever the focus is by now: who lets go of the key is not heard any more. */
  #release = (): void => {
    if (this.#held && this.hearing) this.#hear();
    this.#held = false;
  };

  #onKeyUp = (event: KeyboardEvent): void => {
    if (event.key === ' ' && this.#held) this.#release();
  };

  get #doing(): string {
    if (!this.online) return 'Offline';
    if (this.hearing) return 'Hearing you';
    if (this.failure) return 'Not answered';
    if (this.state === 'idle' && this.#ended) return 'Your turn';
    return this.slow && this.state === 'thinking' ? 'Still thinking' : DOING[this.state];
  }

  override render(): TemplateResult {
    const { persona } = this, busy = this.state !== 'idle', name = persona.name;
    const placeholder = busy ? 'Type or speak to interrupt' : this.#ended ? `Answer ${name}, or ask something new` : `Ask ${name} something`;
    const announce = { idle: this.#ended ? `${name} has finished. Your turn.` : '', thinking: `${name} is thinking.`, ready: '', speaking: `${name} is talking.`, stalled: '' }[this.state];
    return html`
      <section class="stage" aria-label=${`${name} on video`}>
        <persona-video crossorigin="anonymous" label=${name} poster=${persona.poster ?? persona.portrait ?? nothing} idle=${persona.idle ?? nothing}
          thinking=${persona.thinking ?? nothing} ?muted=${this.muted} captions=${this.captions ? 'on' : 'off'}
          @state=${(event: CustomEvent<{ state: State }>) => { this.state = event.detail.state; }}></persona-video>
        <div class="chip name"><a class="back" href="/gallery" @click=${link} aria-label="To the gallery">${icon('back')}</a><i class=${busy ? 'on' : ''}></i><span><b dir="auto">${name}</b><small>${this.#doing}</small></span></div>
        <div class="chip tools">
          <button aria-label="Captions" title="Captions" aria-pressed=${this.captions} @click=${() => { this.captions = !this.captions; }}>${icon('captions')}</button>
          <button aria-label="Mute" title="Mute" aria-pressed=${this.muted} @click=${() => { this.muted = !this.muted; }}>${icon(this.muted ? 'muted' : 'sound')}</button>
          <button aria-label="Full screen" title="Full screen" @click=${() => void this.querySelector('.stage')?.requestFullscreen()}>${icon('full')}</button>
          <button class="phone" aria-label="Conversation" title="Conversation" aria-expanded=${this.log} @click=${() => { this.log = !this.log; }}>${icon('talk')}</button>
        </div>
        <div class="chip label">AI-generated</div>
        <div class="visually-hidden" role="status">${announce}</div>
        <div class="foot">
          ${this.failure ? html`<p class="notice" role="alert">${name} couldn't answer that. ${this.failure.text}
            ${this.failure.question ? html`<button @click=${() => void this.#ask(this.draft || this.failure!.question!)}>Try again</button>` : nothing}</p>` : nothing}
          ${!this.online ? html`<p class="notice" role="alert">You're offline. We'll send this when you're back.</p>` : nothing}
          ${!this.turns.length && !busy ? html`<p class="ideas">${ideas(persona).map((idea) => html`<button @click=${() => void this.#ask(idea)}>${idea}</button>`)}</p>` : nothing}
          <form class="composer" @submit=${(event: Event) => { event.preventDefault(); void this.#ask(this.draft); }}>
            ${'SpeechRecognition' in window || 'webkitSpeechRecognition' in window
              ? html`<button type="button" class=${this.hearing ? 'round hearing' : 'round'} aria-label=${this.hearing ? 'Tap to send' : 'Speak'} aria-pressed=${this.hearing} @click=${() => this.#hear()}>${icon('microphone')}</button>` : html`<i></i>`}
            <textarea rows="1" dir="auto" maxlength="8000" aria-label="Your message" placeholder=${placeholder} .value=${this.draft}
              @input=${(event: InputEvent) => this.#setDraft((event.target as HTMLTextAreaElement).value)}
              @keydown=${(event: KeyboardEvent) => { if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) { event.preventDefault(); void this.#ask(this.draft); } }}></textarea>
            ${busy && !this.draft
              ? html`<button type="button" class="round first" aria-label="Stop" @click=${() => void this.#stop()}>${icon('stop')}</button>`
              : html`<button class="round first" aria-label="Send" ?disabled=${!this.draft.trim()}>${icon('send')}</button>`}
          </form>
        </div>
      </section>
      <section class=${this.log ? 'conversation open' : 'conversation'} aria-label="Conversation" title="Conversation" id="conversation">
        <header><h1 dir="auto">${name}</h1><a class="button small" href=${`/personas/${persona.id}/edit`} @click=${link}>Edit</a>
          <button class="phone small" @click=${() => { this.log = false; }}>Close</button></header>
        <p class="quiet" dir="auto">${persona.description || persona.appearance}</p>
        <div class="turns" role="log" aria-live="off">${repeat(this.turns, (turn) => turn.id, (turn) => this.#turn(turn))}</div>
        ${this.receipt ? this.#receipt(this.receipt) : nothing}
      </section>`;
  }

  #turn(turn: Turn): TemplateResult {
    const cost = turn.prediction?.receipt?.cost_usd, offered = turn.prediction;
    return html`<article>
      ${turn.question ? html`<p class="question" dir="auto">${turn.question}</p>` : nothing}
      <p class="answer" dir="auto">${turn.answer || (turn.note ? '' : '…')}</p>
      <p class="quiet">${turn.note ? html`<span class="tag">${turn.note}</span> ` : nothing}${turn.ms ? html`First picture after ${(turn.ms / 1000).toFixed(1)} s` : nothing}
        ${cost != null && offered ? html`<button class="text" @click=${() => { this.receipt = offered; }}>${credits(cost)} credits</button>` : nothing}</p>
    </article>`;
  }

  #receipt(prediction: Prediction): TemplateResult {
    const found = prediction.receipt!;
    const steps: [string, number | null | undefined][] = [['First word', found.first_token_ms], ['First clause', found.first_clause_ms], ['First sound', found.first_audio_ms], ['First picture', found.first_frame_ms], ['Everything', found.total_ms]];
    const longest = found.total_ms || 1;
    return html`<section class="card receipt" aria-label="Receipt">
      <header><h2>${credits(found.cost_usd)} credits</h2><button class="round" aria-label="Close the receipt" @click=${() => { this.receipt = undefined; }}>${icon('close')}</button></header>
      <table>${steps.filter(([, ms]) => ms != null).map(([name, ms]) => html`<tr><th scope="row">${name}</th>
        <td><meter min="0" max=${longest} .value=${ms!}></meter></td><td>${ms!.toLocaleString('en')} ms</td></tr>`)}</table>
      <p class="quiet">${found.duration_s ? html`${found.duration_s.toFixed(1)} s of video by ${found.engine}. ` : nothing}${found.cold ? 'The container had just started. ' : nothing}
        ${prediction.degraded ? html`Delivered: ${prediction.degraded.delivered}. ${prediction.degraded.reasons.map((reason) => reason.detail).join(' ')}` : 'Nothing was missing.'}</p>
    </section>`;
  }
}

/** Two first questions, from what is said of a persona: "A retired lighthouse keeper who ..." is asked about that. */
function ideas(persona: Persona): [string, string] {
  const who = /^(?:you are |she is |he is )?((?:an?|the) [^.,;:()!?]+?)(?= (?:who|whose|that|which|named|called|from|with|in|at|and)\b|[.,;:()!?]|$)/i.exec(persona.description.trim())?.[1];
  if (!who || who.length > 40) return ['Who are you?', 'What are you thinking about today?'];
  const one = who[0]!.toLowerCase() + who.slice(1);
  return [`What is it like to be ${one}?`, `What does only ${one} know?`];
}

function note(prediction: Prediction): string | undefined {
  if (prediction.status === 'canceled') return 'Stopped';
  if (prediction.status === 'failed') return 'Not answered';
  return prediction.degraded?.delivered === 'text' ? 'Written only' : prediction.degraded?.delivered === 'voice' ? 'Voice only' : undefined;
}

customElements.define('talk-page', TalkPage);
