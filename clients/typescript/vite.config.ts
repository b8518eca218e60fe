/** <persona-video> as one file without imports; the client is compiled by TypeScript alone. */
import { defineConfig } from 'vite';

export default defineConfig({
  build: { target: 'es2022', emptyOutDir: false, lib: { entry: '../../web/src/persona-video.ts', formats: ['es'], fileName: () => 'persona-video.js' } },
});
