// The application by HTTP, and the store for express-session, with a server with the module at REDIS_URL.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as dial, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { Wallet } from 'ethers';
import express from 'express';
import expressSession from 'express-session';
import { service } from './app.mjs';
import { genid, SessionStore } from './express-session-store.mjs';
import { connect, keyOf, SessionError, Sessions } from './redis-session.mjs';
import { DataKeys } from './sealed-data.mjs';

const redisUrl = process.env.REDIS_URL ?? 'redis://localhost:6379';
const dataKey = randomBytes(32);
const admin = Wallet.createRandom();
const origin = 'http://localhost:8080';

// Programs and connections of this file, which end with it.
const endings = [];
after(() => Promise.all(endings.map((end) => end())));

async function listen(app) {
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => { server.close(); server.closeAllConnections?.(); });
  return `http://127.0.0.1:${server.address().port}`;
}

async function start(settings = {}) {
  const { app, redis } = service({ redisUrl, dataKey, origin, admins: [admin.address], ...settings });
  endings.push(() => redis.destroy());
  if (!settings.redisUrl) await once(redis, 'ready');
  return listen(app);
}

// A connection to Redis that can be cut, and put together again.
async function cuttable() {
  const { hostname, port } = new URL(redisUrl);
  const links = new Set();
  let isCut = false;
  const server = createServer((inside) => {
    if (isCut) return inside.destroy();
    const outside = dial(Number(port || 6379), hostname);
    for (const socket of [inside, outside]) {
      links.add(socket.on('error', () => {}));
      socket.on('close', () => { inside.destroy(); outside.destroy(); });
    }
    inside.pipe(outside).pipe(inside);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => server.close());
  const cut = () => { isCut = true; for (const socket of links) socket.destroy(); };
  return { url: `redis://127.0.0.1:${server.address().port}`, cut, mend: () => { isCut = false; } };
}

const url = await start();
const client = connect(redisUrl);
const sessions = new Sessions(client, { keys: new DataKeys(['1', dataKey]) });
before(() => client.isReady || once(client, 'ready'));
endings.push(() => client.destroy());

// A browser on a device: it keeps the cookie.
class Browser {
  constructor({ base = url, device = 'laptop', address = '203.0.113.7' } = {}) {
    Object.assign(this, { base, device, address });
  }

  async send(method, path, body, headers = {}) {
    const response = await fetch(this.base + path, {
      method,
      body: body && JSON.stringify(body),
      headers: {
        'content-type': 'application/json', 'x-forwarded-for': this.address, 'user-agent': 'a test',
        ...(this.device && { 'x-device': this.device }), ...(this.cookie && { cookie: this.cookie }), ...headers,
      },
    });
    for (const set of response.headers.getSetCookie()) this.cookie = set.split(';')[0];
    const text = await response.text();
    this.headers = response.headers;
    return [response.status, text && JSON.parse(text)];
  }

  async waitForHealth(wanted) {
    for (let tries = 0; (await this.send('GET', '/health'))[0] !== wanted; tries += 1) {
      assert.ok(tries < 600, `health is not ${wanted}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async signIn(wallet) {
    const [, { nonce, message }] = await this.send('POST', '/nonce', { address: wallet.address });
    const login = { nonce, signature: await wallet.signMessage(message) };
    return { login, answer: await this.send('POST', '/login', login) };
  }
}

test('a wallet signs in, once for each nonce', async () => {
  const [wallet, browser] = [Wallet.createRandom(), new Browser()];
  const { login, answer } = await browser.signIn(wallet);
  assert.deepEqual(answer, [200, { address: wallet.address, newIp: true, newDevice: true, signedOut: 0 }]);
  assert.match(browser.headers.get('set-cookie'), /^__Host-session=rst1\..*Path=\/;.*HttpOnly; Secure; SameSite=Lax$/);
  const [status, session] = await browser.send('GET', '/session');
  assert.deepEqual([status, session.address, session.preferences], [200, wallet.address, { theme: 'system' }]);
  assert.equal((await new Browser().send('POST', '/login', login))[0], 401, 'the nonce is used up');
});

test('a signature of another wallet or another text is refused and uses the nonce up', async () => {
  const [wallet, thief, browser] = [Wallet.createRandom(), Wallet.createRandom(), new Browser()];
  for (const sign of [(text) => thief.signMessage(text), (text) => wallet.signMessage(`${text} `), () => '0x00', () => null]) {
    const [, { nonce, message }] = await browser.send('POST', '/nonce', { address: wallet.address });
    assert.equal((await browser.send('POST', '/login', { nonce, signature: await sign(message) }))[0], 401);
    const good = { nonce, signature: await wallet.signMessage(message) };
    assert.equal((await browser.send('POST', '/login', good))[0], 401);
  }
  assert.equal((await browser.send('POST', '/login', {}))[0], 401);
  assert.equal((await browser.send('POST', '/nonce', { address: '0x12' }))[0], 400);
});

test('one nonce that is offered many times at once signs in once', async () => {
  const [wallet, browser] = [Wallet.createRandom(), new Browser()];
  const [, { nonce, message }] = await browser.send('POST', '/nonce', { address: wallet.address });
  const login = { nonce, signature: await wallet.signMessage(message) };
  const answers = await Promise.all(Array.from({ length: 10 }, () => new Browser().send('POST', '/login', login)));
  assert.deepEqual(answers.map(([status]) => status).sort(), [200, ...Array(9).fill(401)]);
});

test('the sixth sign-in ends the oldest session, and both are told', async () => {
  const [wallet, browsers] = [Wallet.createRandom(), Array.from({ length: 6 }, (_, n) => new Browser({ device: `${n}` }))];
  const told = [];
  for (const browser of browsers) told.push((await browser.signIn(wallet)).answer[1].signedOut);
  assert.deepEqual(told, [0, 0, 0, 0, 0, 1]);
  const [status, { error, reason }] = await browsers[0].send('GET', '/session');
  assert.deepEqual([status, reason], [401, 'evicted']);
  assert.match(error, /more than 5 devices/);
  const [, listed] = await browsers[5].send('GET', '/sessions');
  assert.deepEqual(listed.map(({ current }) => current), [true, false, false, false, false]);
});

test('a stolen cookie is of no use on another device', async () => {
  const browser = new Browser();
  await browser.signIn(Wallet.createRandom());
  for (const device of ['phone', '']) {
    const thief = Object.assign(new Browser({ device }), { cookie: browser.cookie });
    assert.equal((await thief.send('GET', '/session'))[1].reason, 'device');
  }
  assert.equal((await browser.send('GET', '/session'))[0], 200);
});

test('another address is told', async () => {
  const browser = new Browser();
  await browser.signIn(Wallet.createRandom());
  assert.equal((await browser.send('GET', '/session'))[1].newIp, false);
  browser.address = '198.51.100.23';
  assert.equal((await browser.send('GET', '/session'))[1].newIp, true);
  assert.equal(browser.headers.get('x-new-address'), 'true');
});

test('preferences change one by one, and Redis cannot read them', async () => {
  const [wallet, browser] = [Wallet.createRandom(), new Browser()];
  await browser.signIn(wallet);
  const changes = [{ theme: 'dark' }, { language: 'de' }, { currency: 'EUR' }];
  const answers = await Promise.all(changes.map((change) => browser.send('PATCH', '/preferences', change)));
  assert.deepEqual(answers.map(([status]) => status), [200, 200, 200]);
  const { preferences } = (await browser.send('GET', '/session'))[1];
  assert.deepEqual(preferences, { theme: 'dark', language: 'de', currency: 'EUR' });
  const stored = await client.sendCommand(['SESSION.LIST', `sessions:${wallet.address}`]);
  assert.equal(stored[0].data.theme[0], 1, 'the version of the format');
  assert.ok(!stored[0].data.theme.includes('dark'));
  for (const bad of [{}, { theme: 'pink' }, { constructor: 'x' }, { role: 'admin' }, ['dark']]) {
    assert.equal((await browser.send('PATCH', '/preferences', bad))[0], 400);
  }
});

test('a user signs out here, one other device, or everywhere', async () => {
  const [wallet, here, there, third] = [Wallet.createRandom(), new Browser(), new Browser(), new Browser()];
  for (const browser of [here, there, third]) await browser.signIn(wallet);
  const cookies = [there.cookie, third.cookie, here.cookie];
  const [, listed] = await here.send('GET', '/sessions');
  assert.equal((await here.send('DELETE', `/sessions/${listed[1].id}`))[0], 204);
  assert.equal((await here.send('DELETE', `/sessions/${listed[1].id}`))[0], 404);
  assert.equal((await there.send('GET', '/session'))[1].reason, 'revoked');
  assert.deepEqual(await here.send('POST', '/logout-all'), [200, { ended: 2 }]);
  third.cookie = cookies[1];
  assert.equal((await third.send('GET', '/session'))[1].reason, 'user_revoked');
  await here.signIn(wallet);
  const before = here.cookie;
  assert.equal((await here.send('POST', '/logout'))[0], 204);
  here.cookie = before;
  assert.equal((await here.send('GET', '/session'))[1].reason, 'revoked');
  assert.equal((await new Browser().send('POST', '/logout'))[0], 204, 'nobody to sign out');
});

test('what another site makes a browser send is refused', async () => {
  const browser = new Browser();
  await browser.signIn(Wallet.createRandom());
  for (const site of ['cross-site', 'same-site']) {
    assert.equal((await browser.send('POST', '/logout-all', undefined, { 'sec-fetch-site': site }))[0], 403);
  }
  assert.equal((await browser.send('GET', '/session'))[0], 200);
});

test('administrators see counts and nobody else', async () => {
  const [user, administrator] = [new Browser(), new Browser()];
  await user.signIn(Wallet.createRandom());
  await administrator.signIn(admin);
  assert.equal((await user.send('GET', '/admin/stats'))[0], 403);
  const [status, stats] = await administrator.send('GET', '/admin/stats');
  assert.equal(status, 200);
  assert.ok(stats.sessions >= 2 && stats.created >= stats.sessions, JSON.stringify(stats));
});

test('while Redis is away the answer is 503, and all goes on when it is back', async () => {
  const link = await cuttable();
  const browser = new Browser({ base: await start({ redisUrl: link.url }) });
  const health = (wanted) => browser.waitForHealth(wanted);
  await health(200);
  await browser.signIn(Wallet.createRandom());
  link.cut();
  await health(503);
  assert.equal((await browser.send('GET', '/session'))[0], 503);
  assert.equal(browser.headers.get('retry-after'), '1');
  assert.equal((await browser.send('POST', '/nonce', { address: admin.address }))[0], 503);
  link.mend();
  await health(200);
  assert.equal((await browser.send('GET', '/session'))[0], 200);
});

test('the program finishes what is under way when it is told to stop', async () => {
  const environment = { ...process.env, PORT: '0', REDIS_URL: redisUrl, DATA_KEY: dataKey.toString('base64') };
  const program = spawn(process.execPath, ['app.mjs'], { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(program.stdout, 'data');
  const port = Number(/listening on (\d+)/.exec(said)[1]);
  await new Browser({ base: `http://127.0.0.1:${port}` }).waitForHealth(200);
  const socket = dial(port, '127.0.0.1');
  const body = JSON.stringify({ address: admin.address });
  const head = `POST /nonce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  socket.write(`${head}Connection: close\r\nExpect: 100-continue\r\n\r\n`);
  await once(socket, 'data'); // the request is under way: 100 Continue
  program.kill('SIGTERM');
  socket.write(body);
  let answer = '';
  socket.on('data', (data) => { answer += data; });
  const [code] = await once(program, 'exit');
  assert.equal(code, 0);
  assert.match(answer, /HTTP\/1.1 200 OK[^]*"nonce"/);
});

test('express-session: a guest becomes a user, and the secret is not in Redis', async () => {
  const app = express().use(express.json());
  const store = new SessionStore(new Sessions(client));
  app.use(expressSession({ store, genid, secret: 'a secret', resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } }));
  const held = [];
  app.post('/cart', (request, response) => {
    request.session.cart = [...(request.session.cart ?? []), request.body.item];
    response.json(request.session.cart);
  });
  app.post('/login', (request, response) => {
    const { cart } = request.session;
    request.user = request.body.user;
    request.session.regenerate(() => response.json(Object.assign(request.session, { cart, user: request.user }).cart));
  });
  app.get('/me', (request, response) => response.json({ user: request.session.user, cart: request.session.cart }));
  app.put('/:field', (request, response) => {
    request.session[request.params.field] = request.body;
    held.push(() => response.json({}));
    if (held.length === Number(request.query.together)) for (const release of held.splice(0)) release();
  });
  app.delete('/:field', (request, response) => {
    delete request.session[request.params.field];
    response.json({});
  });
  app.post('/logout', (request, response) => request.session.destroy(() => response.json({})));
  const browser = new Browser({ base: await listen(app) });
  const user = `user-${randomBytes(8).toString('hex')}`;

  assert.deepEqual(await browser.send('GET', '/me'), [200, {}]);
  assert.equal(browser.cookie, undefined, 'who does nothing has no session');
  await browser.send('POST', '/cart', { item: 'a book' });
  const guest = browser.cookie;
  assert.deepEqual(await browser.send('POST', '/login', { user }), [200, ['a book']]);
  assert.notEqual(browser.cookie, guest);
  assert.deepEqual(await browser.send('GET', '/me'), [200, { user, cart: ['a book'] }]);
  assert.deepEqual(await Object.assign(new Browser(browser), { cookie: guest }).send('GET', '/me'), [200, {}]);

  const [listed] = await new Sessions(client).list(user);
  const sid = decodeURIComponent(browser.cookie.split('=')[1]).slice(2).split('.').slice(0, 2).join('.');
  assert.equal(listed.id, createHash('sha256').update(sid).digest('hex'));
  assert.deepEqual([listed.data.cart, listed.agent], [['a book'], 'a test']);
  assert.equal(listed.idle_expires_at - listed.last_seen_at, 60_000);

  // Two requests at the same time do not undo each other's changes.
  await Promise.all(['a', 'b'].map((field) => browser.send('PUT', `/${field}?together=2`, { set: field })));
  const [{ data }] = await new Sessions(client).list(user);
  assert.deepEqual([data.a, data.b], [{ set: 'a' }, { set: 'b' }]);
  await browser.send('DELETE', '/a');
  assert.ok(!('a' in (await new Sessions(client).list(user))[0].data));

  // A request that is under way at the logout does not bring the session back.
  const late = browser.send('PUT', '/late?together=2', { set: 'late' });
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const { cookie } = browser;
  await browser.send('POST', '/logout');
  held.pop()();
  assert.equal((await late)[0], 200);
  assert.deepEqual(await new Sessions(client).list(user), []);
  browser.cookie = cookie;
  assert.deepEqual(await browser.send('GET', '/me'), [200, {}]);
});

test('the start that the project\'s README shows works', async () => {
  const [, code] = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').split('```js\n');
  const app = express();
  const start = new Function('Sessions', 'connect', 'app', `${code.split('```')[0]}; return sessions;`);
  let started;
  const connectHere = () => { started = connect(redisUrl); return started; };
  const own = start(Sessions, connectHere, app);
  endings.push(() => started.destroy());
  await once(started, 'ready');
  app.get('/me', ({ session }, response) => response.json(session.user));
  const browser = new Browser({ base: await listen(app) });
  const { token, id } = await own.create('readme');
  const headers = { authorization: `Bearer ${token}` };
  assert.deepEqual(await browser.send('GET', '/me', undefined, headers), [200, 'readme']);
  await own.revoke('readme', id);
  assert.equal((await browser.send('GET', '/me', undefined, headers))[1].reason, 'revoked');
  assert.equal((await browser.send('GET', '/me'))[0], 401);
});

test('sealed values are those of the test vectors, and open in their place alone', () => {
  const { keys, values } = JSON.parse(readFileSync(new URL('../../docs/sealed-data.json', import.meta.url)));
  const known = new DataKeys(...Object.entries(keys).map(([kid, key]) => [kid, Buffer.from(key, 'hex')]));
  for (const { user, id, field, value, sealed } of values) {
    const bytes = Buffer.from(sealed, 'hex');
    assert.equal(known.open(user, id, field, bytes).toString('hex'), value);
    assert.throws(() => known.open(user, id, `${field}x`, bytes));
    for (const at of bytes.keys()) {
      const changed = Buffer.from(bytes);
      changed[at] ^= 1;
      assert.throws(() => known.open(user, id, field, changed), `byte ${at}`);
      assert.throws(() => known.open(user, id, field, bytes.subarray(0, at)), `cut to ${at}`);
    }
    const own = known.seal(user, id, field, Buffer.from(value, 'hex'));
    assert.equal(own.length, bytes.length - bytes[1] + own[1]);
    assert.equal(known.open(user, id, field, own).toString('hex'), value);
  }
  assert.throws(() => new DataKeys());
  assert.throws(() => new DataKeys(['1', Buffer.alloc(31)]));
});

test('tokens that no server has made lead nowhere, and errors have a code', async () => {
  for (const bad of ['', '.', 'a.b.c', 'rst1..', 'x'.repeat(100_000)]) assert.equal(keyOf(bad), null);
  assert.deepEqual(await sessions.touch('a.b.c'), { active: false, reason: 'malformed' });
  const codeOf = (promise) => promise.then(() => 'none', (error) => error instanceof SessionError && error.code);
  assert.equal(await codeOf(sessions.set('42', 'another', { theme: 'dark' })), 'NOSESSION');
  assert.equal(await codeOf(sessions.create('42', { ttl: 'forever' })), 'ERR');
  assert.throws(() => sessions.revoke('{42}', 'x'), RangeError);
});
