/** A PersonaForge backend, typed by its own OpenAPI document. */

import createFetchClient, { type Client, type Middleware } from 'openapi-fetch';
import type { components, paths } from './openapi.js';

export type { components, paths } from './openapi.js';
/** `face`: where eyes and mouth are, each [x, y] as shares of the picture. */
export type Persona = Omit<components['schemas']['PersonaResponse'], 'face'> & { face: Record<string, number[]> | null };
export type Prediction = components['schemas']['PredictionResponse'];
export type Receipt = components['schemas']['Receipt'];

const ENDED = new Set(['succeeded', 'failed', 'canceled', 'aborted']);
const POLL = 1000; // ms: a look at something that runs costs the backend nothing

export interface Options {
  /** Where the functions are reached, such as https://studio.example.com; '' for the page's own origin. */
  baseUrl: string;
  /** The user's access token of Supabase, or what gives it: asked before every request, as tokens are renewed. */
  token: string | (() => string | Promise<string>);
  fetch?: typeof fetch;
}

/** What a persona is to do: answer a message, answer what is said in a sound, or say exactly this. */
export type Turn = ({ message: string } | { audio: string } | { say: string }) & { size?: 512 | 1024 };

/** What the backend refused, as its problem+json tells it. */
export class PersonaForgeError extends Error {
  constructor(
    message: string,
    /** Of HTTP; 0 where there was no answer. */
    readonly status: number,
    /** Such as `out_of_credits`; see docs/api.md. */
    readonly code: string,
    /** Whether the same request may succeed later. */
    readonly retryable: boolean,
    readonly problem: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = 'PersonaForgeError';
  }
}

export class PersonaForge {
  /** Every operation, by its path: `api.GET('/v1/personas')`. Raises PersonaForgeError for what is not answered well. */
  readonly api: Client<paths>;
  /** `fetch` with the user's token: what `<persona-video>` needs as its `fetch`. */
  readonly fetch: typeof fetch;

  constructor(options: Options) {
    const send = options.fetch ?? ((...given: Parameters<typeof fetch>) => globalThis.fetch(...given));
    this.fetch = async (input, init) => {
      const request = new Request(input, init);
      const token = typeof options.token === 'string' ? options.token : await options.token();
      if (token) request.headers.set('Authorization', `Bearer ${token}`);
      try {
        return await send(request);
      } catch (error) {
        if ((error as Error).name === 'AbortError') throw error;
        throw new PersonaForgeError('The backend cannot be reached.', 0, 'unreachable', true);
      }
    };
    const refuse: Middleware = { onResponse: async ({ response }) => { if (!response.ok) throw await problem(response); } };
    this.api = createFetchClient<paths>({ baseUrl: options.baseUrl || '/', fetch: this.fetch as (request: Request) => Promise<Response> });
    this.api.use(refuse);
  }

  /** Begin a turn. Its `urls.stream` plays while it is made: hand the prediction to `<persona-video>`'s `speak`. */
  async talk(persona: string, turn: Turn, options: { signal?: AbortSignal; stream?: boolean } = {}): Promise<Prediction> {
    const { data } = await this.api.POST('/v1/predictions', {
      body: { model: 'personaforge/talk', stream: options.stream ?? true, input: { persona, ...turn } },
      ...(options.signal ? { signal: options.signal } : {}),
    });
    return data as Prediction;
  }

  /** Any model of the backend, such as `personaforge/portrait`. */
  async create(model: string, input: Record<string, unknown>, signal?: AbortSignal): Promise<Prediction> {
    const { data } = await this.api.POST('/v1/predictions', { body: { model, input }, ...(signal ? { signal } : {}) });
    return data as Prediction;
  }

  /** The prediction when it has ended. Raises PersonaForgeError for one that failed or was canceled. */
  async wait(prediction: Prediction, signal?: AbortSignal): Promise<Prediction> {
    let found = prediction;
    while (!ENDED.has(found.status)) {
      await new Promise((resolve) => setTimeout(resolve, POLL));
      signal?.throwIfAborted();
      const answer = await this.fetch(found.urls.get, signal ? { signal } : {});
      if (!answer.ok) throw await problem(answer);
      found = await answer.json() as Prediction;
    }
    if (found.status !== 'succeeded') {
      throw new PersonaForgeError(found.error || `It was ${found.status}.`, 0, found.receipt?.error_code ?? found.status, false);
    }
    return found;
  }

  async cancel(prediction: Prediction): Promise<void> {
    const answer = await this.fetch(prediction.urls.cancel, { method: 'POST' });
    if (!answer.ok) throw await problem(answer);
  }

  /** Keep a file for a day; the address is good as an input. */
  async upload(file: Blob, name = 'file'): Promise<string> {
    const form = new FormData();
    form.append('content', file, name);
    const { data } = await this.api.POST('/v1/files', { body: form as never, bodySerializer: (body) => body });
    return data!.urls['get']!;
  }
}

async function problem(response: Response): Promise<PersonaForgeError> {
  const found = await response.clone().json().catch(() => ({})) as Record<string, unknown>;
  const detail = String(found['detail'] ?? `The backend answered ${response.status}.`);
  return new PersonaForgeError(detail, response.status, String(found['code'] ?? 'http'), found['retryable'] === true, found);
}
