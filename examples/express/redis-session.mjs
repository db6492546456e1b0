// Sessions in a Redis server with the module redis-session: copy this file into your project, and sealed-data.mjs if
// Redis must not be able to read your sessions' data.
//
//   const client = connect('redis://localhost:6379');
//   const sessions = new Sessions(client);
//   const login = await sessions.create('42', { ip: '203.0.113.7', token: 'OPAQUE' });
//   (await sessions.touch(login.token)).active; // true
//   await sessions.revoke('42', login.id); // 1
//   (await sessions.touch(login.token)).reason; // 'revoked'
//
// A bad token is an answer: `active` is false and `reason` says why. An error means that the question could not be asked
// (`code` is UNAVAILABLE) or was refused (`code` is the first word of the server's error). Let nobody in then.
// Times in answers are Unix milliseconds, time spans in arguments are seconds. Data values are JSON.

import { randomBytes } from 'node:crypto';
import { createClient, ErrorReply, RESP_TYPES } from 'redis';

const PREFIX = 'sessions:';

// A command may have been carried out when its reply is lost, and a login must not happen twice. So nothing waits for a
// server that is away, and nothing is sent twice. The client connects by itself, again and again.
export function connect(url) {
  const client = createClient({
    url, RESP: 3, disableOfflineQueue: true, pingInterval: 1000, socket: { connectTimeout: 1000, socketTimeout: 3000 },
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  client.on('error', (error) => console.error('redis:', error.message));
  client.connect().catch(() => {}); // closed before it was open
  return client;
}

export class SessionError extends Error {
  constructor(cause) {
    super(cause.message, { cause });
    const isReply = cause instanceof ErrorReply || cause.name === 'ReplyError'; // of node-redis, or of ioredis
    this.code = isReply ? cause.message.split(' ')[0] : 'UNAVAILABLE';
  }
}

// Sends a command. A reply's strings are buffers.
export async function send(client, ...command) {
  try {
    return await client.sendCommand(command.map((part) => (Buffer.isBuffer(part) ? part : String(part))));
  } catch (error) {
    throw new SessionError(error);
  }
}

export function key(user) {
  if (!/^[^\p{Cc}\p{Cs}{][^\p{Cc}\p{Cs}]*$/u.test(user) || Buffer.byteLength(user) > 255) {
    throw new RangeError('a user has 1 to 255 bytes without control characters, and does not begin with a brace');
  }
  return PREFIX + user;
}

// The key of a token's user, or null for a text that is no token. Only the server verifies the token.
export function keyOf(token) {
  try {
    const text = Buffer.from(token.split('.')[1], 'base64url').toString();
    const user = /^rs[tr]1\./.test(token) ? text : JSON.parse(text).sub;
    return key(Number.isSafeInteger(user) ? String(user) : user);
  } catch {
    return null;
  }
}

const text = (value) => (Buffer.isBuffer(value) ? value.toString() : value);

// What is no text comes as `{ base64 }`.
const bytes = (value) => (typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.base64, 'base64'));

// A reply with BRIEF is a deadline, or a reason.
const brief = (reply) => (
  typeof reply === 'number' ? { active: true, expires_at: reply } : { active: false, reason: text(reply) }
);

// `{ ttl: 60, device: undefined, full: true }` as `TTL 60 FULL`.
const options = (given) => Object.entries(given).flatMap(([name, value]) => {
  if (value === undefined || value === null || value === false) return [];
  return value === true ? [name.toUpperCase()] : [name.toUpperCase(), value];
});

function valueOf(written) {
  try {
    return JSON.parse(written);
  } catch {
    return written.toString(); // what another program has stored as it is
  }
}

export class Sessions {
  #client;
  #keys;

  // `client`: a client of node-redis whose strings are buffers, as `connect` makes it, or an object with its method
  // `sendCommand`: docs/clients.md has them for clusters and for ioredis. `keys`: the DataKeys of sealed-data.mjs, if
  // data are to be sealed.
  constructor(client, { keys } = {}) {
    this.#client = client;
    this.#keys = keys;
  }

  #send(...command) {
    return send(this.#client, ...command);
  }

  // With JSON the reply is one text.
  async #json(...command) {
    return JSON.parse(text(await this.#send(...command, 'JSON')));
  }

  #written(user, id, data) {
    return Object.entries(data).flatMap(([name, value]) => {
      const bytes = Buffer.from(JSON.stringify(value));
      return [name, this.#keys ? this.#keys.seal(user, id, name, bytes) : bytes];
    });
  }

  #session(session) {
    if (session?.claims) session.claims = JSON.parse(session.claims);
    if (!session?.data) return session;
    const { user, id, data } = session;
    // Names that are no text make it an array of pairs.
    const pairs = Array.isArray(data) ? data.map(([name, value]) => [text(bytes(name)), value]) : Object.entries(data);
    const open = (name, value) => (this.#keys ? this.#keys.open(user, id, name, value) : value);
    session.data = Object.fromEntries(pairs.map(([name, value]) => [name, valueOf(open(name, bytes(value)))]));
    return session;
  }

  // Begins a session. Options: id, from, ttl, idle, max, reject, ip, agent, device, level, token, tokenttl, refresh; and
  // the objects data and claims.
  async create(user, { data, claims, ...given } = {}) {
    const command = ['SESSION.CREATE', key(user)];
    if (data && Object.keys(data).length > 0) {
      given.id ??= randomBytes(16).toString('base64url'); // sealed data are bound to the id
      const written = this.#written(user, given.id, data);
      command.push('DATA', written.length / 2, ...written);
    }
    if (claims) command.push('CLAIMS', JSON.stringify(claims));
    return this.#json(...command, ...options(given));
  }

  async #ask(command, token, given) {
    const k = keyOf(token);
    if (k === null) return { active: false, reason: 'malformed' };
    const words = [command, k, token, ...options(given)];
    const answer = given.brief ? brief(await this.#send(...words)) : this.#session(await this.#json(...words));
    return { user: k.slice(PREFIX.length), ...answer };
  }

  // Checks a token. Options: ip, device, aud, level, maxage, stateless; full for the whole session, or brief, which is the
  // fastest and leaves out the id.
  validate(token, given = {}) {
    return this.#ask('SESSION.VALIDATE', token, given);
  }

  // Checks a token as `validate` does, and restarts the idle timeout.
  touch(token, given = {}) {
    return this.#ask('SESSION.TOUCH', token, given);
  }

  // Exchanges a refresh token for new tokens. Options: ip, agent, device.
  refresh(token, given = {}) {
    return this.#ask('SESSION.REFRESH', token, given);
  }

  // Gives a session a new id and new tokens, as after a change of privileges. Sealed data must be set again. Options:
  // level, ttl, ip, agent; and the object claims.
  async regenerate(user, idOrToken, { claims, ...given } = {}) {
    const command = ['SESSION.REGENERATE', key(user), idOrToken];
    if (claims) command.push('CLAIMS', JSON.stringify(claims));
    return this.#json(...command, ...options(given));
  }

  // Checks a session whose id comes from a trusted place, and restarts the idle timeout.
  async touchId(user, id, given = {}) {
    return this.#session(await this.#json('SESSION.TOUCH', key(user), 'ID', id, ...options(given)));
  }

  // A live session, or null.
  async get(user, id) {
    return this.#session(await this.#json('SESSION.GET', key(user), id));
  }

  // The user's live sessions, newest first.
  async list(user) {
    return (await this.#json('SESSION.LIST', key(user))).map((session) => this.#session(session));
  }

  // How many sessions of the user are alive.
  count(user) {
    return this.#send('SESSION.COUNT', key(user));
  }

  // Sets fields of a live session. With a version, fails with CONFLICT if the data has another one.
  set(user, id, data, version = '*') {
    return this.#send('SESSION.SET', key(user), id, 'VERSION', version, ...this.#written(user, id, data));
  }

  // Adds to a field that is a whole number, and returns the sum. Sealed data cannot be added to.
  incr(user, id, name, by = 1) {
    return this.#send('SESSION.INCRBY', key(user), id, name, by);
  }

  unset(user, id, ...names) {
    return this.#send('SESSION.UNSET', key(user), id, ...names);
  }

  // Ends sessions, and returns how many were alive.
  revoke(user, ...idsOrTokens) {
    return this.#send('SESSION.REVOKE', key(user), ...idsOrTokens);
  }

  // Ends the session of a token, even of one that has expired.
  async revokeToken(token) {
    const k = keyOf(token);
    return k === null ? 0 : this.#send('SESSION.REVOKE', k, token);
  }

  // Ends all sessions of a user, or all but the one whose id or token `spare` is.
  revokeUser(user, spare) {
    return this.#send('SESSION.REVOKEUSER', key(user), ...options({ except: spare }));
  }

  stats() {
    return this.#json('SESSION.STATS');
  }
}
