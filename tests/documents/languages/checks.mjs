// What holds of the adapter beyond what the page shows. The page's code stands before this.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { key, keyOf, SessionError } from './redis-session.mjs';

const tokens = JSON.parse(readFileSync(process.env.TOKENS, 'utf8'));
for (const [token, expected] of tokens.routed) assert.equal(keyOf(token), expected, token);
for (const token of tokens.bad) {
  const answer = await sessions.touch(token);
  assert.ok(answer.active === false && answer.reason, `${token.slice(0, 80)}: ${JSON.stringify(answer)}`);
}

for (const user of ['', '{42}', '{', 'a\0b', 'a\x85', 'x'.repeat(256), 'ü'.repeat(128)]) {
  assert.throws(() => key(user), RangeError, user);
}

// Users on all nodes, with names, agents and data of all kinds.
const data = { cart: [{ n: 1 }], name: 'ü😀', version: null, n: 17 };
const from = { ip: '::1', agent: '\t\0' + 'ü😀'.repeat(1000), refresh: 0 };
for (const user of [...Array(20).keys()].map(String).concat('Jürgen "J"', '😀', 'a{b}c', 'x'.repeat(255))) {
  const session = await sessions.create(user, { ...from, data, claims: { role: ['a'] } });
  const answer = await sessions.touch(session.token, { full: true, ip: '::2' });
  assert.ok(answer.active === true && answer.new_ip === true && answer.user === user, `${user}: ${JSON.stringify(answer)}`);
  assert.deepEqual([answer.data, answer.claims], [data, { role: ['a'] }]);
  assert.deepEqual([(await sessions.list(user))[0].data, (await sessions.get(user, session.id)).data], [data, data]);
  const again = await sessions.refresh(session.refresh_token);
  assert.equal(again.refresh_token, (await sessions.refresh(session.refresh_token)).refresh_token, user);
  const other = await sessions.regenerate(user, again.token, { claims: { role: ['b'] }, level: 2 });
  assert.notEqual(other.id, session.id);
  const checked = await sessions.validate(other.token, { level: 2, maxage: 60, full: true });
  assert.deepEqual([checked.id, checked.claims], [other.id, { role: ['b'] }]);
  assert.equal((await sessions.validate(other.token, { level: 3 })).reason, 'level');
  assert.equal((await sessions.touchId(user, other.id)).active, true);
  assert.equal(await sessions.unset(user, other.id, 'cart', 'none'), 1);
  assert.equal(await sessions.revokeUser(user, other.id), 0);
  assert.equal(await sessions.revokeUser(user), 1);
  assert.equal(await sessions.get(user, other.id), null);
}
const opaque = await sessions.create('42', { token: 'OPAQUE' });
assert.ok(opaque.token.startsWith('rst1.') && (await sessions.touch(opaque.token)).active);

// The fastest check, counters, and data of another program.
const { expires_at } = await sessions.get('42', opaque.id);
assert.deepEqual(await sessions.touch(opaque.token, { brief: true }), { user: '42', active: true, expires_at });
assert.deepEqual(
  await sessions.validate(opaque.token, { brief: true, level: 2 }), { user: '42', active: false, reason: 'level' },
);
assert.deepEqual(
  [await sessions.incr('42', opaque.id, 'visits'), await sessions.incr('42', opaque.id, 'visits', -3)], [1, -2],
);
await client.sendCommand(['SESSION.SET', key('42'), opaque.id, 'plain', Buffer.from('ff2074', 'hex')]);
assert.deepEqual((await sessions.get('42', opaque.id)).data, { visits: -2, plain: '\ufffd t' });
await client.sendCommand(['SESSION.SET', key('42'), opaque.id, Buffer.from('ff', 'hex'), '1']);
assert.deepEqual((await sessions.list('42'))[0].data, { visits: -2, plain: '\ufffd t', '\ufffd': 1 });

for (const [attempt, expected] of [
  [() => sessions.create('42', { ttl: 'forever' }), 'ERR'],
  [() => sessions.set('42', 'another', { cart: 17 }), 'NOSESSION'],
  [() => sessions.set('42', opaque.id, { cart: 17 }, 7), 'CONFLICT'],
  [() => sessions.create('42', { id: opaque.id }), 'SESSIONEXISTS'],
]) {
  await assert.rejects(attempt, (error) => error instanceof SessionError && error.code === expected, expected);
}

const open = typeof redis === 'undefined' ? client : redis;
await (open.destroy ?? open.disconnect).call(open);
await assert.rejects(() => sessions.touch(opaque.token), (error) => error.code === 'UNAVAILABLE');
process.exit(0);
