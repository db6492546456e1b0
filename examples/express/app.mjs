// Sign in with an Ethereum wallet and a cookie session, with Express.

import { randomBytes } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { getAddress, isAddress, verifyMessage } from 'ethers';
import express from 'express';
import { connect, send, SessionError, Sessions } from './redis-session.mjs';
import { DataKeys } from './sealed-data.mjs';

const COOKIE = '__Host-session';
const PREFERENCES = { theme: ['system', 'light', 'dark'], language: ['en', 'de', 'fr'], currency: ['USD', 'EUR'] };
const MAX_SESSIONS = 5;
const TEXTS = {
  evicted: `You have signed in on more than ${MAX_SESSIONS} devices, so this one was signed out.`,
  revoked: 'You have signed out.',
  user_revoked: 'You have signed out everywhere.',
  idle: 'Your session has expired.',
  expired: 'Your session has expired.',
  device: 'This session belongs to another device.',
};

// `settings`: redisUrl, dataKey (32 bytes), origin, admins (addresses).
export function service({ redisUrl, dataKey, origin, admins = [] }) {
  const redis = connect(redisUrl);
  const sessions = new Sessions(redis, { keys: new DataKeys(['1', dataKey]) });
  const app = express();
  app.disable('x-powered-by');
  app.set('trust proxy', 'loopback'); // a proxy on this machine says where a request comes from
  app.use(express.json({ limit: '16kb' }));

  // The cookie is sent by this site's pages alone; browsers say so of each request.
  app.use((request, response, next) => {
    const site = request.get('sec-fetch-site') ?? 'none';
    if (['GET', 'HEAD'].includes(request.method) || ['same-origin', 'none'].includes(site)) return next();
    response.status(403).json({ error: 'This request comes from another site.' });
  });

  const tokenOf = (request) => {
    const cookies = (request.get('cookie') ?? '').split('; ').map((pair) => pair.split('='));
    return cookies.find(([name]) => name === COOKIE)?.[1];
  };
  // The page's script sends the device's fingerprint. A request without it counts as another device's.
  const deviceOf = (request) => request.get('x-device') || '-';
  const cookie = { httpOnly: true, secure: true, sameSite: 'lax', path: '/' };

  // The live session of a request, in `request.session`. `new_ip` tells that it comes from another address.
  async function signedIn(request, response, next) {
    const [token, ip, device] = [tokenOf(request), request.ip, deviceOf(request)];
    const session = token ? await sessions.touch(token, { ip, device, full: true }) : { active: false };
    if (!session.active) {
      return response.status(401).json({ error: TEXTS[session.reason] ?? 'Please sign in.', reason: session.reason });
    }
    if (session.new_ip) response.set('X-New-Address', 'true');
    request.session = session;
    next();
  }

  function isAdmin(request, response, next) {
    if (admins.map(getAddress).includes(request.session.user)) return next();
    response.status(403).json({ error: 'Administrators only.' });
  }

  // --- Signing in: the wallet signs a text with a nonce in it (EIP-4361), which is good once and for five minutes.

  app.post('/nonce', async (request, response) => {
    if (!isAddress(request.body?.address)) return response.status(400).json({ error: 'address is not an address.' });
    const [address, nonce] = [getAddress(request.body.address), randomBytes(16).toString('hex')];
    const message = [
      `${new URL(origin).host} wants you to sign in with your Ethereum account:`, address, '', 'Sign in.', '',
      `URI: ${origin}`, 'Version: 1', 'Chain ID: 1', `Nonce: ${nonce}`, `Issued At: ${new Date().toISOString()}`,
    ].join('\n');
    await send(redis, 'SET', `nonce:${nonce}`, JSON.stringify({ address, message }), 'EX', 300);
    response.json({ nonce, message });
  });

  app.post('/login', async (request, response) => {
    const { nonce, signature } = request.body ?? {};
    const stored = await send(redis, 'GETDEL', `nonce:${nonce}`); // used up, whatever the signature is
    const { address, message } = stored ? JSON.parse(stored) : {};
    let signer;
    try {
      signer = verifyMessage(message, signature);
    } catch {
      signer = null; // no nonce, or no signature
    }
    if (!stored || signer !== address) return response.status(401).json({ error: 'The signature is not good.' });
    const from = { ip: request.ip, agent: request.get('user-agent'), device: deviceOf(request) };
    const limits = { max: MAX_SESSIONS, ttl: 30 * 86_400, idle: 86_400 };
    const begun = await sessions.create(address, { token: 'OPAQUE', data: { theme: 'system' }, ...limits, ...from });
    response.cookie(COOKIE, begun.token, { ...cookie, expires: new Date(begun.token_expires_at) });
    const { new_ip: newIp, new_device: newDevice } = begun;
    response.json({ address, newIp, newDevice, signedOut: begun.evicted.length });
  });

  // --- Signed in.

  app.get('/session', signedIn, ({ session }, response) => {
    response.json({ address: session.user, expiresAt: session.expires_at, newIp: session.new_ip, preferences: session.data });
  });

  const isPreference = ([name, value]) => Object.hasOwn(PREFERENCES, name) && PREFERENCES[name].includes(value);

  app.patch('/preferences', signedIn, async ({ session, body }, response) => {
    const changes = Object.entries(body ?? {});
    if (changes.length === 0 || !changes.every(isPreference)) {
      return response.status(400).json({ error: 'Unknown preference or value.' });
    }
    await sessions.set(session.user, session.id, body); // other fields stay as they are
    response.json({ ...session.data, ...body });
  });

  app.get('/sessions', signedIn, async ({ session }, response) => {
    const shown = ({ id, created_at, last_seen_at, ip, agent }) => ({ id, created_at, last_seen_at, ip, agent });
    const found = await sessions.list(session.user);
    response.json(found.map((one) => ({ ...shown(one), current: one.id === session.id })));
  });

  app.delete('/sessions/:id', signedIn, async ({ session, params }, response) => {
    const ended = await sessions.revoke(session.user, params.id);
    response.status(ended ? 204 : 404).end();
  });

  app.post('/logout', async (request, response) => {
    await sessions.revokeToken(tokenOf(request) ?? '');
    response.clearCookie(COOKIE, cookie).status(204).end();
  });

  app.post('/logout-all', signedIn, async ({ session }, response) => {
    response.clearCookie(COOKIE, cookie).json({ ended: await sessions.revokeUser(session.user) });
  });

  app.get('/admin/stats', signedIn, isAdmin, async (_request, response) => {
    const { users, sessions: alive, created, revoked, evicted, expired } = await sessions.stats();
    response.json({ users, sessions: alive, created, revoked, evicted, expired });
  });

  app.get('/health', async (_request, response) => {
    await sessions.stats();
    response.json({ status: 'ok' });
  });

  app.use((error, _request, response, _next) => {
    // A session that ended while its request was under way; Redis that is away; a body that is not JSON; a fault.
    const away = error instanceof SessionError;
    const status = error.code === 'NOSESSION' ? 401 : away ? 503 : (error.status ?? 500);
    if (status === 500) console.error(error);
    if (status === 503) response.set('Retry-After', '1');
    response.status(status).json({ error: away ? 'Sign-ins cannot be checked at the moment.' : 'Bad request.' });
  });

  return { app, redis };
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 8080);
  const { app, redis } = service({
    redisUrl: process.env.REDIS_URL ?? 'redis://localhost:6379',
    dataKey: Buffer.from(process.env.DATA_KEY ?? '', 'base64'), // openssl rand -base64 32
    origin: process.env.ORIGIN ?? `http://localhost:${port}`,
    admins: process.env.ADMINS?.split(',') ?? [],
  });
  const server = app.listen(port, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
  // Finishes the requests that are under way, then closes the connection to Redis.
  const stop = () => server.close(() => redis.destroy());
  process.once('SIGTERM', stop).once('SIGINT', stop);
}
