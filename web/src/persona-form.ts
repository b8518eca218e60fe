/** A new persona from words or from a photo, and the changes of one that is there. */

import { html, nothing, type PropertyValues, type TemplateResult } from 'lit';
import type { components } from './openapi.js';
import { api, authorized, body, Problem, type Persona } from './session.js';
import { icon, link, navigate, View } from './view.js';

const LONGEST = 4000;
const LARGEST = 15 * 1024 * 1024;
type Voice = components['schemas']['VoiceResponse'];
const FITTING: Voice = { id: '', name: 'Chosen by description', description: 'A woman, a man, or neutral', language: null, gender: null, preview: null, cloned: false };
let known: Voice[] = []; // shown at once when the form is opened again, so that nothing moves under the pointer
// Of ElevenLabs' Flash v2.5.
const LANGUAGES = 'ar bg cs da de el en es fi fr hi hr hu id it ja ko ms nl no pl pt ro ru sk sv ta tr uk vi zh'.split(' ');
const NAMES = new Intl.DisplayNames(['en'], { type: 'language' });
const POINTS = ['left_eye', 'right_eye', 'mouth_left', 'mouth_right', 'lip_top', 'lip_bottom'] as const;
const POINT_NAMES: Record<string, string> = { left_eye: 'Eye at the left', right_eye: 'Eye at the right', mouth_left: 'Mouth, left corner', mouth_right: 'Mouth, right corner', lip_top: 'Upper lip, top', lip_bottom: 'Lower lip, bottom' };

export class PersonaForm extends View {
  static override properties = { persona: { attribute: false }, photo: { state: true }, working: { state: true }, failure: { state: true }, way: { state: true }, length: { state: true }, made: { state: true }, points: { state: true }, deleting: { state: true }, voices: { state: true }, chosen: { state: true }, sounding: { state: true } };
  declare persona: Persona | undefined;
  declare photo: File | undefined;
  declare working: string;
  declare failure: { text: string } | undefined;
  declare way: 'describe' | 'photo';
  declare length: number;
  declare made: Persona | undefined;
  declare points: Record<string, number[]> | undefined;
  declare deleting: boolean;
  declare voices: Voice[];
  declare chosen: string | undefined;
  declare sounding: string | undefined;
  #sample: HTMLAudioElement | undefined;
  #address = '';

  constructor() {
    super();
    Object.assign(this, { voices: known, working: '', way: 'describe', length: 0, deleting: false });
  }

  override connectedCallback(): void { super.connectedCallback(); void this.#hear(); }
  override disconnectedCallback(): void { super.disconnectedCallback(); this.#sample?.pause(); }

  /** Without the list a persona is made all the same, and gets a voice that fits. */
  async #hear(): Promise<void> {
    this.voices = known = (await body(api.GET('/v1/voices')).catch(() => ({ results: known }))).results;
  }

  #listen(voice: Voice): void {
    this.#sample?.pause();
    if (this.sounding === voice.id) { this.sounding = undefined; return; }
    this.#sample = new Audio(voice.preview!);
    this.#sample.onended = this.#sample.onpause = () => { if (this.sounding === voice.id) this.sounding = undefined; };
    this.sounding = voice.id;
    void this.#sample.play().catch(() => { this.sounding = undefined; });
  }

  #voice(voice: Voice, chosen: boolean): TemplateResult {
    const sounds = this.sounding === voice.id;
    return html`<div><label><input type="radio" name="voice" value=${voice.id} ?checked=${chosen} @change=${() => { this.chosen = voice.id; }}><b>${voice.name}</b> <span class="quiet" dir="auto">${voice.description}</span></label>
      ${voice.preview ? html`<button type="button" class="round" aria-label=${`${sounds ? 'Stop' : 'Listen to'} ${voice.name}`} @click=${() => this.#listen(voice)}>${icon(sounds ? 'stop' : 'play')}</button>` : nothing}</div>`;
  }

  override willUpdate(changed: PropertyValues<this>): void {
    const before = changed.get('persona') as Persona | undefined;
    if (changed.has('persona') && this.persona && this.persona.id !== before?.id) {
      this.length = this.persona.description.length;
      this.points = this.persona.face ? structuredClone(this.persona.face) : undefined;
    }
    if (changed.has('photo')) {
      URL.revokeObjectURL(this.#address);
      this.#address = this.photo ? URL.createObjectURL(this.photo) : '';
    }
  }

  #choose(file: File | undefined): void {
    this.failure = undefined;
    if (!file) return;
    if (!/^image\/(jpeg|png|webp)$/.test(file.type)) this.failure = { text: "That isn't a picture. JPEG, PNG or WebP." };
    else if (file.size > LARGEST) this.failure = { text: 'The photo is larger than 15 MB.' };
    else this.photo = file;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (this.working) return; // a double click makes one
    const form = new FormData(event.target as HTMLFormElement), text = (name: string): string => String(form.get(name) ?? '').trim();
    const fields = { name: text('name'), description: text('description'), appearance: text('appearance'), language: text('language'), voice_id: text('voice'), voice_consent: form.has('voice_consent'), gaze: (text('gaze') || 'natural') as Persona['gaze'], liveliness: Number(form.get('liveliness') ?? 0.5) };
    this.failure = undefined;
    this.working = 'Saving';
    try {
      if (this.persona) {
        const moved = Object.fromEntries(POINTS.filter((name) => this.points && String(this.points[name]) !== String(this.persona!.face?.[name])).map((name) => [name, this.points![name] as [number, number]]));
        await body(api.PATCH('/v1/personas/{persona_id}', { params: { path: { persona_id: this.persona.id } }, body: { ...fields, ...(Object.keys(moved).length ? { face: moved } : {}) } }));
        this.#done(this.persona.id, `${fields.name} was changed.`);
        return;
      }
      this.made = this.made
        ? await body(api.PATCH('/v1/personas/{persona_id}', { params: { path: { persona_id: this.made.id } }, body: fields }))
        : await body(api.POST('/v1/personas', { body: fields }));
      if (this.way === 'photo') await this.#upload(this.made.id);
      else {
        this.working = 'Drawing, about 3 s';
        const job = await body(api.POST('/v1/predictions', { params: { header: { prefer: 'wait=60' } }, body: { model: 'personaforge/portrait', input: { persona: this.made.id } } }));
        if (job.status !== 'succeeded') throw new Problem(job.error ?? 'The picture is not drawn yet. Open the persona in a moment.', 0);
      }
      const { id } = this.made;
      this.made = undefined;
      this.#done(id, '');
    } catch (error) {
      // One that was made for a photo which cannot be used is not left behind.
      if (this.made && this.way === 'photo') {
        await api.DELETE('/v1/personas/{persona_id}', { params: { path: { persona_id: this.made.id } } }).catch(() => undefined);
        this.made = undefined;
      }
      this.failure = { text: (error as Error).message };
    } finally {
      this.working = '';
    }
  }

  async #upload(persona: string): Promise<void> {
    if (!this.photo) throw new Problem('Choose a photo.', 0);
    this.working = 'Looking at the photo';
    const answer = await authorized(`/v1/personas/${persona}/portrait?consent=true`, { method: 'PUT', body: this.photo, headers: { 'Content-Type': this.photo.type } });
    if (answer.ok) return;
    const found = await answer.json().catch(() => ({})) as { detail?: string };
    throw new Problem(found.detail ?? `The backend answered ${answer.status}.`, answer.status);
  }

  #done(persona: string, note: string): void {
    this.dispatchEvent(new CustomEvent('personas', { bubbles: true }));
    if (note) this.toast(note);
    navigate(`/talk/${persona}`);
  }

  async #delete(): Promise<void> {
    const { id, name } = this.persona!;
    this.deleting = false;
    this.working = 'Deleting';
    try {
      await api.DELETE('/v1/personas/{persona_id}', { params: { path: { persona_id: id } } });
      this.dispatchEvent(new CustomEvent('personas', { bubbles: true }));
      this.toast(`${name} was deleted.`);
      navigate('/');
    } catch (error) {
      this.failure = { text: (error as Error).message };
    } finally {
      this.working = '';
    }
  }

  #move(name: string, event: KeyboardEvent): void {
    const step = (event.shiftKey ? 10 : 1) / 512;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!by || !this.points) return;
    event.preventDefault();
    this.#put(name, this.points[name]![0]! + by[0]!, this.points[name]![1]! + by[1]!);
  }

  #put(name: string, x: number, y: number): void {
    const within = (value: number): number => Math.min(1, Math.max(0, value));
    this.points = { ...this.points!, [name]: [within(x), within(y)] };
  }

  #drag(name: string, event: PointerEvent): void {
    const handle = event.currentTarget as HTMLElement;
    handle.setPointerCapture(event.pointerId);
    const move = (moved: PointerEvent): void => {
      const box = handle.parentElement!.getBoundingClientRect();
      this.#put(name, (moved.clientX - box.left) / box.width, (moved.clientY - box.top) / box.height);
    };
    handle.addEventListener('pointermove', move);
    handle.addEventListener('pointerup', () => handle.removeEventListener('pointermove', move), { once: true });
  }

  override updated(): void {
    for (const handle of this.querySelectorAll<HTMLElement>('.points button')) {
      const [x = 0, y = 0] = this.points![handle.dataset['point']!]!;
      handle.style.setProperty('left', `${x * 100}%`);
      handle.style.setProperty('top', `${y * 100}%`);
    }
    const dialog = this.querySelector('dialog');
    if (this.deleting && !dialog?.open) dialog?.showModal();
  }

  override render(): TemplateResult {
    const { persona } = this;
    return html`<section class="page form-page">
      <header><h1>${persona ? `Edit ${persona.name}` : 'New persona'}</h1>
        ${persona ? nothing : html`<div class="switch" role="group" aria-label="How">${(['describe', 'photo'] as const).map((way) => html`<button aria-pressed=${this.way === way} @click=${() => { this.way = way; this.failure = undefined; }}>${way === 'describe' ? 'Describe' : 'Use a photo'}</button>`)}</div>`}</header>
      <form @submit=${(event: SubmitEvent) => void this.#submit(event)}>
        <div class="fields">
          <label>Name<input name="name" required maxlength="80" autocomplete="off" .value=${persona?.name ?? ''}></label>
          ${this.way === 'describe' ? html`<label>Looks like<textarea name="appearance" rows="2" maxlength="1000" .value=${persona?.appearance ?? ''}></textarea></label>` : nothing}
          <label>Who is it, and how does it speak?<textarea name="description" rows="4" aria-describedby="count" .value=${persona?.description ?? ''}
            @input=${(event: InputEvent) => { this.length = (event.target as HTMLTextAreaElement).value.length; }}></textarea>
            <small id="count" class=${this.length > LONGEST ? 'count over' : 'count'}>${this.length.toLocaleString('en')} of ${LONGEST.toLocaleString('en')}</small></label>
          <fieldset class="voices"><legend>Voice</legend>${[FITTING, ...this.voices].map((voice) => this.#voice(voice, (this.chosen ?? persona?.voice_id ?? '') === voice.id))}
            ${persona?.voice_id && !this.voices.some((voice) => voice.id === persona.voice_id) ? html`<div><label><input type="radio" name="voice" value=${persona.voice_id} checked><b>${persona.voice_id}</b></label></div>` : nothing}
            ${this.chosen !== persona?.voice_id && this.voices.some((voice) => voice.cloned && voice.id === this.chosen) ? html`<label class="consent"><input type="checkbox" name="voice_consent" required> The person whose voice this is agrees to speak as this persona. The time of consent is kept.</label>` : nothing}</fieldset>
          <label>Language<select name="language"><option value="">Of whoever speaks to it</option>${LANGUAGES.map((code) => html`<option value=${code} ?selected=${code === persona?.language}>${NAMES.of(code)}</option>`)}</select></label>
          ${persona ? html`<label>Liveliness<input type="range" name="liveliness" min="0" max="1" step="0.001" .value=${String(persona.liveliness)}></label>
            <label>Gaze<select name="gaze">${(['viewer', 'natural', 'wandering'] as const).map((gaze) => html`<option value=${gaze} ?selected=${gaze === persona.gaze}>${{ viewer: 'On the viewer', natural: 'Natural', wandering: 'Wandering' }[gaze]}</option>`)}</select></label>` : nothing}
          ${this.way === 'photo' && !persona ? html`<label class="consent"><input type="checkbox" required> The person shown agrees to speak as this persona. The time of consent is kept.</label>` : nothing}
          ${this.failure ? html`<p class="refusal" role="alert">${this.failure.text}</p>` : nothing}
          <p class="buttons"><button class="first" ?disabled=${Boolean(this.working) || this.length > LONGEST}>${this.working || (persona ? 'Save' : 'Make the persona')}</button>
            <a class="button" href=${persona ? `/talk/${persona.id}` : '/'} @click=${link}>Cancel</a>
            ${persona ? html`<button type="button" class="danger" ?disabled=${Boolean(this.working)} @click=${() => { this.deleting = true; }}>Delete ${persona.name}</button>` : nothing}</p>
        </div>
        <div class="picture">${this.#picture()}</div>
      </form>
      ${this.deleting && persona ? html`<dialog aria-labelledby="delete-title" @close=${() => { this.deleting = false; }}><h2 id="delete-title">Delete ${persona.name}?</h2>
        <p>Its talks, portrait, voice choice and consent record go.</p>
        <p class="buttons"><button class="danger" @click=${() => void this.#delete()}>Delete ${persona.name}</button><button autofocus @click=${() => this.querySelector('dialog')!.close()}>Keep</button></p></dialog>` : nothing}
    </section>`;
  }

  #picture(): TemplateResult | typeof nothing {
    if (this.persona?.portrait) {
      return html`<div class="points"><img alt=${`Portrait of ${this.persona.name}`} src=${this.persona.portrait}>
        ${this.points ? POINTS.map((name) => html`<button type="button" data-point=${name} aria-label=${`${POINT_NAMES[name]}: move with the arrow keys`} @pointerdown=${(event: PointerEvent) => this.#drag(name, event)} @keydown=${(event: KeyboardEvent) => this.#move(name, event)}></button>`) : nothing}</div>
        <p class="quiet">${this.persona.warnings.map((warning) => warning.detail).join(' ') || 'The points show where eyes and mouth were found. Move one that is wrong.'}</p>`;
    }
    if (this.way !== 'photo') return html`<p class="quiet">The picture is drawn from the words. What you leave out is chosen for you. A name is enough.</p>`;
    return html`<label class="drop" @dragover=${(event: DragEvent) => event.preventDefault()} @drop=${(event: DragEvent) => { event.preventDefault(); this.#choose(event.dataTransfer?.files[0]); }}
      @paste=${(event: ClipboardEvent) => this.#choose(event.clipboardData?.files[0])}>
      ${this.photo ? html`<img alt="The chosen photo" src=${this.#address}>` : html`<span>Drop a photo here, or choose one.<br><small>One person, from the front. JPEG, PNG or WebP.</small></span>`}
      <input type="file" accept="image/jpeg,image/png,image/webp" aria-label="Photo" @change=${(event: Event) => this.#choose((event.target as HTMLInputElement).files?.[0])}></label>`;
  }
}

customElements.define('persona-form', PersonaForm);
