import type { NextConfig } from 'next';

// One origin: the browser asks this app for /v1, and Vercel passes it on while it streams.
const config: NextConfig = {
  rewrites: async () => [{ source: '/v1/:path*', destination: `${process.env.FORGE_URL ?? 'http://127.0.0.1:8000'}/v1/:path*` }],
};
export default config;
