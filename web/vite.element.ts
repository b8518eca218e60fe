/** <persona-video> as a file of its own, for pages that are not ours. */
import { defineConfig } from 'vite';

export default defineConfig({
  build: { target: 'es2022', emptyOutDir: false, lib: { entry: 'src/persona-video.ts', formats: ['es'], fileName: () => 'persona-video.js' } },
});
