/** Who is signed in, and the API as they may call it. */

import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from './openapi.js';

export type Persona = Omit<components['schemas']['PersonaResponse'], 'face'> & { face: Record<string, number[]> | null };
export type Prediction = components['schemas']['PredictionResponse'];
export type Video = components['schemas']['Video'];
export type Account = components['schemas']['Account'];

const KEY = 'personaforge-token';
const SUPABASE_URL = import.meta.env['VITE_SUPABASE_URL'] as string | undefined;
const SUPABASE_KEY = import.meta.env['VITE_SUPABASE_PUBLISHABLE_KEY'] as string | undefined;

/** What the API, or the way to it, says is wrong. */
export class Problem extends Error {
  constructor(message: string, readonly status: number, readonly code = '', readonly detail: Record<string, unknown> = {}) { super(message); }
}

class Session extends EventTarget {
  readonly hosted = Boolean(SUPABASE_URL && SUPABASE_KEY);
  token = this.hosted ? '' : sessionStorage.getItem(KEY) ?? '';

  constructor() {
    super();
    if (this.hosted) {
      void this.#follow();
      return;
    }
    addEventListener('hashchange', () => this.#fromAddress());
    this.#fromAddress();
  }

  /** An address with #token=…, as `forge up` prints it. Not where people sign in: it could be anybody's. */
  #fromAddress(): void {
    const token = new URLSearchParams(location.hash.slice(1)).get('token');
    if (!token) return;
    history.replaceState(history.state, '', location.pathname + location.search);
    this.#use(token);
  }

  /** Supabase keeps the session and renews its token. */
  async #follow(): Promise<void> {
    (await supabase()).auth.onAuthStateChange((_event, found) => this.#use(found?.access_token ?? ''));
  }

  #use(token: string): void {
    this.token = token;
    if (token && !this.hosted) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
    this.dispatchEvent(new Event('change'));
  }

  /** On a laptop: as the one user there is. */
  async signInHere(): Promise<void> {
    const answer = await fetch('/local/session', { method: 'POST' });
    if (!answer.ok) throw new Problem('This deployment has no local user. Set VITE_SUPABASE_URL and VITE_SUPABASE_PUBLISHABLE_KEY when building the page.', answer.status);
    this.#use((await answer.json() as { access_token: string }).access_token);
  }

  async sendLink(email: string): Promise<void> {
    const { error } = await (await supabase()).auth.signInWithOtp({ email, options: { emailRedirectTo: location.origin } });
    if (error) throw new Problem(error.message, error.status ?? 0);
  }

  ended(): void { if (!this.hosted) this.#use(''); }
}

const connect = async () => (await import('@supabase/supabase-js')).createClient(SUPABASE_URL!, SUPABASE_KEY!);
let connected: ReturnType<typeof connect> | undefined;
const supabase = (): ReturnType<typeof connect> => (connected ??= connect());

export const session = new Session();

/** `fetch` with the user's token; raises Problem for whatever is not answered well. */
export const authorized: typeof fetch = async (input, init) => {
  const request = new Request(input, init);
  request.headers.set('Authorization', `Bearer ${session.token}`);
  let answer: Response;
  try {
    answer = await fetch(request);
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Problem(navigator.onLine ? 'The backend cannot be reached.' : 'You are offline.', 0, 'offline');
  }
  if (answer.status === 401) session.ended();
  return answer;
};

const raise: Middleware = {
  async onResponse({ response }) {
    if (response.ok) return undefined;
    const found = await response.clone().json().catch(() => ({})) as Record<string, unknown>;
    throw new Problem(String(found['detail'] ?? `The backend answered ${response.status}.`), response.status, String(found['code'] ?? ''), found);
  },
};

export const api = createClient<paths>({ baseUrl: '/', fetch: authorized as (request: Request) => Promise<Response> });
api.use(raise);

/** The body of an answer that is there: what is not well was raised. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}
