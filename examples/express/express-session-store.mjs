// A store for express-session: copy this file beside redis-session.mjs.
//
//   app.use(session({ store: new SessionStore(sessions), genid, secret, resave: false, saveUninitialized: false }));
//
//   app.post('/login', async (request, response) => {
//     request.user = '42'; // once the password was right
//     request.session.regenerate(() => response.json({})); // the new session is in the list of user 42
//   });
//
// The secret in the cookie never reaches Redis: a session's id there is its SHA-256. A session that was ended stays
// ended, although express-session saves it once more at the end of a request that was under way. A save writes the
// properties that the request has changed and no others, so two requests at the same time do not undo each other's.

import { createHash, randomBytes } from 'node:crypto';
import session from 'express-session';

const hash = (secret) => createHash('sha256').update(secret).digest('hex');

// A secret that says whose session it is: nobody's, until `request.user` is set.
export function genid(request) {
  return `${Buffer.from(request.user ?? '').toString('base64url')}.${randomBytes(24).toString('base64url')}`;
}

// A guest has a key of its own, and so a list of one session.
function place(sid) {
  const [user, id] = [Buffer.from(sid.split('.')[0], 'base64url').toString(), hash(sid)];
  return [user || `guest-${id}`, id];
}

// The properties as JSON, which can be compared. `cookie` is one of them.
const snapshot = (data) => Object.fromEntries(Object.entries(data).map(([name, value]) => [name, JSON.stringify(value)]));

export class SessionStore extends session.Store {
  #sessions;
  #ttl;
  // The stored data of a session object that was loaded or saved.
  #stored = new WeakMap();

  // `ttl`: seconds that a session lasts at most, however busy it is.
  constructor(sessions, { ttl = 30 * 86_400 } = {}) {
    super();
    this.#sessions = sessions;
    this.#ttl = ttl;
  }

  createSession(request, data) {
    const stored = snapshot(data);
    const created = super.createSession(request, data);
    this.#stored.set(created, stored);
    return created;
  }

  get(sid, done) {
    this.#sessions.get(...place(sid)).then((found) => done(null, found?.data ?? null), done);
  }

  set(sid, current, done = () => {}) {
    this.#save(sid, current).then(() => done(), done);
  }

  async #save(sid, current) {
    const [user, id] = place(sid);
    const [data, before] = [JSON.parse(JSON.stringify(current)), this.#stored.get(current)];
    const now = snapshot(data);
    this.#stored.set(current, now); // at once, for a second save that does not wait for this one
    try {
      await (before ? this.#change(user, id, data, before, now) : this.#begin(user, id, data, current.req));
    } catch (error) {
      if (before) this.#stored.set(current, before);
      else this.#stored.delete(current);
      if (error.code !== 'NOSESSION') throw error; // ended meanwhile: nothing of it is to be kept
    }
  }

  #begin(user, id, data, request) {
    const idle = Math.ceil((data.cookie.originalMaxAge ?? 86_400_000) / 1000);
    const from = { ip: request?.ip, agent: request?.get?.('user-agent') };
    return this.#sessions.create(user, { id, data, idle, ttl: this.#ttl, token: 'NONE', ...from });
  }

  #change(user, id, data, before, now) {
    const changed = Object.entries(data).filter(([name]) => now[name] !== before[name]);
    const removed = Object.keys(before).filter((name) => !(name in now));
    return Promise.all([
      changed.length > 0 && this.#sessions.set(user, id, Object.fromEntries(changed)),
      removed.length > 0 && this.#sessions.unset(user, id, ...removed),
    ]);
  }

  touch(sid, _current, done = () => {}) {
    this.#sessions.touchId(...place(sid)).then(() => done(), done);
  }

  destroy(sid, done = () => {}) {
    const [user, id] = place(sid);
    this.#sessions.revoke(user, id).then(() => done(), done);
  }
}
