/** The base of the page's parts: rendered into the document, so that one style sheet holds for all. */

import { LitElement, html, svg, type TemplateResult } from 'lit';

export abstract class View extends LitElement {
  protected override createRenderRoot(): HTMLElement { return this; }

  /** Say something in the corner for six seconds. */
  protected toast(text: string): void {
    this.dispatchEvent(new CustomEvent('toast', { detail: text, bubbles: true }));
  }
}

const PATHS = {
  talk: 'M4 5h16v11H9l-5 4z',
  clips: 'M3 9h18v11H3zM3 9l2-5h16v5M8 4l-1 5M14 4l-1 5',
  gallery: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z',
  studio: 'M3 5h18v14H3zM10 9l5 3-5 3z',
  chart: 'M4 20V10M10 20V4M16 20v-7M22 20H2',
  credits: 'M3 7h18v12H3zM3 11h18',
  plus: 'M12 5v14M5 12h14',
  send: 'M12 19V5M6 11l6-6 6 6',
  stop: 'M8 8h8v8H8z',
  microphone: 'M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4',
  captions: 'M3 5h18v14H3zM10 10a2 2 0 1 0 0 4M17 10a2 2 0 1 0 0 4',
  sound: 'M4 9v6h4l5 4V5L8 9zM16 9a4 4 0 0 1 0 6M18 6a8 8 0 0 1 0 12',
  muted: 'M4 9v6h4l5 4V5L8 9zM16 9l5 6M21 9l-5 6',
  full: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  back: 'M15 5l-7 7 7 7',
  play: 'M8 5l11 7-11 7z',
  world: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18',
  close: 'M6 6l12 12M18 6L6 18',
} as const;

export const icon = (name: keyof typeof PATHS): TemplateResult =>
  html`<svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">${svg`<path d=${PATHS[name]} />`}</svg>`;

export const navigate = (path: string): void => {
  history.pushState(null, '', path);
  dispatchEvent(new PopStateEvent('popstate'));
};

/** For links within the page: the browser's own keys still open them elsewhere. */
export const link = (event: MouseEvent): void => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  navigate((event.currentTarget as HTMLAnchorElement).getAttribute('href')!);
};

export const clock = (seconds: number | null | undefined): string =>
  seconds == null ? '' : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

/** Of dollars: a thousandth each, rounded up, as they are booked to the thousandth. */
export const credits = (usd: number | null | undefined): number => Math.ceil((usd ?? 0) * 1000);
