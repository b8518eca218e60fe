'use client';

import { createClient } from '@supabase/supabase-js';
import { PersonaForge, PersonaForgeError, type Persona } from 'personaforge';
import type { PersonaVideo } from 'personaforge/persona-video';
import { type FormEvent, useEffect, useMemo, useRef, useState } from 'react';

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'persona-video': React.DetailedHTMLProps<React.HTMLAttributes<PersonaVideo>, PersonaVideo>
        & { label?: string; poster?: string | undefined; idle?: string | undefined; thinking?: string | undefined };
    }
  }
}

/** Signed in by Supabase where that is set; else by a token in the address, as `forge up` prints it. */
async function token(): Promise<string> {
  const url = process.env.NEXT_PUBLIC_SUPABASE_URL, key = process.env.NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY;
  if (!url || !key) return new URLSearchParams(location.hash.slice(1)).get('token') ?? '';
  return (await createClient(url, key).auth.getSession()).data.session?.access_token ?? '';
}

export function Talk() {
  const forge = useMemo(() => new PersonaForge({ baseUrl: '', token }), []);
  const stage = useRef<PersonaVideo>(null);
  const [persona, setPersona] = useState<Persona>();
  const [problem, setProblem] = useState('');

  useEffect(() => {
    void import('personaforge/persona-video').then(async () => { // a custom element: in the browser alone
      if (stage.current) stage.current.fetch = forge.fetch;
      const { data } = await forge.api.GET('/v1/personas');
      setPersona(data?.results[0]);
    }).catch((error: Error) => setProblem(error.message));
  }, [forge]);

  async function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget, message = String(new FormData(form).get('message')).trim();
    if (!persona || !stage.current || !message) return;
    form.reset();
    setProblem('');
    stage.current.think();
    try {
      await stage.current.speak(await forge.talk(persona.id, { message }));
    } catch (error) {
      await stage.current.stop();
      setProblem(error instanceof PersonaForgeError ? error.message : 'Something went wrong.');
    }
  }

  return (
    <>
      <persona-video ref={stage} label={persona?.name ?? 'Persona'} poster={persona?.poster ?? persona?.portrait ?? undefined}
        idle={persona?.idle ?? undefined} thinking={persona?.thinking ?? undefined} style={{ width: 512, maxWidth: '100%' }} />
      <form onSubmit={(event) => void ask(event)}>
        <input name="message" aria-label="Your message" autoComplete="off" /> <button>Ask</button>
      </form>
      {problem && <p role="alert">{problem}</p>}
    </>
  );
}
