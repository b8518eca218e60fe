/** Single keys, outside fields only, and the list of them. A switch turns them off (WCAG 2.1.4). */

import { html, nothing, type TemplateResult } from 'lit';
import { navigate, View } from './view.js';

const OFF = 'keys-off';
const KEYS: [string, string][] = [
  ['/', 'Write a message'], ['Space, held', 'Speak'], ['Esc', 'Stop, then close'], ['Enter', 'Send'], ['Shift Enter', 'New line'],
  ['C', 'Captions'], ['M', 'Sound'], ['F', 'Full screen'], ['R', 'Receipt of the last answer'], ['N', 'New persona'],
  ['[ ]', 'Previous and next persona'], ['G, then T C G S Y A', 'Go to Talk, Clips, Gallery, Studio, Analytics or Credits'], ['?', 'This list'],
];
const PLACES: Record<string, string> = { t: '/', c: '/clips', g: '/gallery', s: '/studio', y: '/analytics', a: '/credits' };
const GO = 1500; // ms after G; by when keys were pressed, not by when a busy page reads them

/** Whether an element is being written in; focus stays in a dialog for a moment after it has closed. */
const editable = (element: Element): boolean => Boolean(element.closest?.('input, textarea, select, [contenteditable]')) && !element.closest('dialog:not([open])');

/** Whether a key is meant for the page: not while something is written, pressed or chosen, nor with the browser's own. */
export const single = (event: KeyboardEvent): boolean =>
  !localStorage.getItem(OFF) && !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.altKey && !event.isComposing
  && !editable(event.target as Element) && !document.querySelector('dialog[open]')
  && !(event.key === ' ' && (event.target as Element).closest?.('button, a, video, summary'));

export class KeyboardList extends View {
  static override properties = { open: { state: true } };
  declare open: boolean;
  #went = -Infinity;

  override connectedCallback(): void { super.connectedCallback(); addEventListener('keydown', this.#onKey); }
  override disconnectedCallback(): void { super.disconnectedCallback(); removeEventListener('keydown', this.#onKey); }

  #onKey = (event: KeyboardEvent): void => {
    if (!single(event)) return;
    const key = event.key.toLowerCase(), going = event.timeStamp - this.#went < GO;
    this.#went = -Infinity;
    if (going && PLACES[key]) navigate(PLACES[key]);
    else if (key === 'g') this.#went = event.timeStamp;
    else if (key === 'n') navigate('/personas/new');
    else if (key === '[' || key === ']') this.dispatchEvent(new CustomEvent('neighbour', { detail: key === '[' ? -1 : 1, bubbles: true }));
    else if (key === '?') this.show();
    else return;
    event.preventDefault();
  };

  show(): void {
    this.open = true;
    void this.updateComplete.then(() => this.querySelector('dialog')?.showModal());
  }

  override render(): TemplateResult | typeof nothing {
    if (!this.open) return nothing;
    return html`<dialog class="keys" aria-labelledby="keys" @close=${() => { this.open = false; }}>
      <h2 id="keys">Keys</h2>
      <dl>${KEYS.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
      <label class="consent"><input type="checkbox" ?checked=${!localStorage.getItem(OFF)}
        @change=${(event: Event) => { if ((event.target as HTMLInputElement).checked) localStorage.removeItem(OFF); else localStorage.setItem(OFF, 'yes'); }}>
        Single keys do this</label>
      <form method="dialog"><button class="first">Close</button></form>
    </dialog>`;
  }
}

customElements.define('keyboard-list', KeyboardList);
