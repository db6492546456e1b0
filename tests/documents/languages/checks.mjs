// What holds of the page's functions beyond what the page shows. The page's code stands before this.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const tokens = JSON.parse(readFileSync(process.env.TOKENS, 'utf8'));
for (const [token, expected] of tokens.routed) assert.equal(keyOf(token), expected, token);
for (const token of tokens.bad) {
  const answer = await ask('SESSION.TOUCH', token);
  assert.ok(!answer.active && answer.reason, `${token.slice(0, 80)}: ${JSON.stringify(answer)}`);
}

for (const user of ['', '{42}', '{', 'a\0b', 'a\x85', 'x'.repeat(256), 'ü'.repeat(128)]) {
  assert.throws(() => key(user), RangeError, user);
}

// Users on all nodes, with names and agents of all kinds.
for (const user of [...Array(20).keys()].map(String).concat('Jürgen "J"', '😀', 'a{b}c', 'x'.repeat(255))) {
  const session = await login(user, '::1', '\t\0' + 'ü😀'.repeat(1000));
  const answer = await ask('SESSION.TOUCH', session.token);
  assert.ok(answer.active && answer.user === user, `${user}: ${JSON.stringify(answer)}`);
  const again = await ask('SESSION.REFRESH', session.refresh_token);
  assert.equal(again.refresh_token, (await ask('SESSION.REFRESH', session.refresh_token)).refresh_token, user);
}
const opaque = asMap(await send('SESSION.CREATE', key('42'), 'TOKEN', 'OPAQUE'));
assert.ok(opaque.token.startsWith('rst1.') && (await ask('SESSION.TOUCH', opaque.token)).active);

for (const [command, expected] of [
  [['SESSION.CREATE', 'sessions:42', 'TTL', 'forever'], 'ERR'],
  [['SESSION.SET', 'sessions:42', 'another', 'cart', 17], 'NOSESSION'],
  [['SESSION.CREATE', 'sessions:42', 'ID', opaque.id], 'SESSIONEXISTS'],
]) {
  await assert.rejects(() => send(...command), (error) => code(error) === expected, expected);
}

const server = createServer(sessionsRequired((request, response, session) => response.end(session.user)));
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
async function get(authorization) {
  const headers = authorization === undefined ? {} : { authorization };
  const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers });
  const said = response.headers.get('www-authenticate') ?? response.headers.get('retry-after');
  return [response.status, said ?? (await response.text())];
}

const { token } = await login('42', '203.0.113.7', 'Firefox on Linux');
assert.deepEqual(await get(`Bearer ${token}`), [200, '42']);
assert.deepEqual(await get(`bearer ${token}`), [200, '42']);
for (const bad of [undefined, `Basic ${token}`, 'Bearer', 'Bearer ', 'Bearer a.b.c', `Bearer ${token}x`, 'Bearer \xff.\xff.\xff']) {
  assert.deepEqual(await get(bad), [401, 'Bearer'], bad);
}
await send('SESSION.REVOKE', key('42'), token);
assert.deepEqual(await get(`Bearer ${token}`), [401, 'Bearer']);
await (redis.destroy ?? redis.disconnect).call(redis);
assert.deepEqual(await get(`Bearer ${token}`), [503, '1']);
process.exit(0);
