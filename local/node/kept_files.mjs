// Lets Supabase Lite serve files as hosted storage does: parts by Range, 304 by If-None-Match, captions as text/vtt,
// and many addresses signed in one call.
import { createHash } from 'node:crypto';
import { Server } from 'node:http';
import { registerHooks } from 'node:module';

// Its route for one file also takes the calls for many, and what answers those has a field of another name.
const SIGNING = [
  ['.post("/object/sign/:bucketId/*",', '.post("/object/sign/:bucketId/:file{.+}",'],
  ['s.push({path:i,signedUrl:o,error:null})', 's.push({path:i,signedURL:o.replace("/storage/v1",""),error:null})'],
  ['s.push({path:i,signedUrl:"",error:o.message})', 's.push({path:i,signedURL:null,error:o.message})'],
  ['s.createSignedUrls(e,r,n)', 's.createSignedUrls(e,r,Number(n))'],
];
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith('/@supabase/lite/dist/index.js')) return loaded;
    let source = String(loaded.source);
    for (const [theirs, hosted] of SIGNING) {
      if (source.split(theirs).length !== 2) throw new Error(`${url}: Supabase Lite changed; see kept_files.mjs`);
      source = source.replace(theirs, hosted);
    }
    return { ...loaded, source };
  },
});

const SERVED = ['/storage/v1/object/public/', '/storage/v1/object/sign/'];
const emit = Server.prototype.emit;
Server.prototype.emit = function (event, request, response) {
  if (event === 'request' && request.method === 'GET' && SERVED.some((path) => request.url.startsWith(path))) hold(request, response);
  return emit.apply(this, arguments);
};

// Keeps what is answered until all of it is there.
function hold(request, response) {
  const own = { writeHead: response.writeHead, write: response.write, end: response.end };
  const chunks = [];
  const keep = (chunk, encoding) => {
    if (chunk && typeof chunk !== 'function') chunks.push(Buffer.from(chunk, typeof encoding === 'string' ? encoding : undefined));
  };
  const called = (...given) => given.find((one) => typeof one === 'function')?.();
  response.writeHead = (status, ...rest) => {
    response.statusCode = status;
    const headers = rest.find((one) => one && typeof one === 'object') ?? {};
    const pairs = Array.isArray(headers) ? headers.flatMap((name, at) => (at % 2 ? [] : [[name, headers[at + 1]]])) : Object.entries(headers);
    for (const [name, value] of pairs) response.setHeader(name, value);
    return response;
  };
  response.flushHeaders = () => {};
  response.write = (chunk, encoding, done) => { keep(chunk, encoding); called(encoding, done); return true; };
  response.end = (chunk, encoding, done) => {
    keep(chunk, encoding);
    Object.assign(response, own);
    const body = answer(request, response, Buffer.concat(chunks));
    response.end(body, () => called(chunk, encoding, done));
    return response;
  };
}

// Sets status and headers; returns the body that remains.
function answer(request, response, whole) {
  response.removeHeader('transfer-encoding');
  if (response.statusCode !== 200) return whole;
  if (request.url.split('?')[0].endsWith('.vtt')) response.setHeader('content-type', 'text/vtt');
  const tag = `"${createHash('sha256').update(whole).digest('hex')}"`;
  response.setHeader('etag', tag);
  response.setHeader('accept-ranges', 'bytes');
  response.removeHeader('content-length');
  const known = (request.headers['if-none-match'] ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (known.includes(tag) || known.includes('*')) {
    response.statusCode = 304;
    return undefined;
  }
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
  const current = request.headers['if-range'];
  if (!range || (!range[1] && !range[2]) || (current && current !== tag)) return whole;
  const last = whole.length - 1;
  const start = range[1] ? Number(range[1]) : Math.max(0, whole.length - Number(range[2]));
  const end = range[1] && range[2] ? Math.min(Number(range[2]), last) : last;
  if (start > end) {
    response.statusCode = 416;
    response.setHeader('content-range', `bytes */${whole.length}`);
    return undefined;
  }
  response.statusCode = 206;
  response.setHeader('content-range', `bytes ${start}-${end}/${whole.length}`);
  return whole.subarray(start, end + 1);
}
