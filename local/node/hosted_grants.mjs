// Keeps Supabase Lite from granting everything in schema public to the API roles when it starts: hosted projects do not.
import { registerHooks } from 'node:module';
const OURS = /\/@supabase\/lite\/dist\/db\/postgres\/(pglite\/Pglite|Postgres)Connection\.js$/;
const ASKED = 'WHERE c.relrowsecurity = true';
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!OURS.test(url)) return loaded;
    const source = String(loaded.source);
    if (source.split(ASKED).length !== 2) throw new Error(`${url}: Supabase Lite changed; see hosted_grants.mjs`);
    return { ...loaded, source: source.replace(ASKED, `${ASKED} AND n.nspname <> 'public'`) };
  },
});
