// A session of this API in React: copy this file into your page's sources.
//
//   const client = new SessionClient('/api/sessions');
//   await client.signIn(tokenOfTheProvider);
//
//   function Page() {
//     const { status, reason, isExpiring, expiresAt } = useSession(client);
//     if (status === 'ended') return <p>Please sign in again ({reason}).</p>;
//     return <>{isExpiring && <p>Your session ends at {expiresAt.toLocaleTimeString()}.</p>} ... </>;
//   }
//
// The access token is refreshed before it expires, once at a time however many components ask. Tokens are kept in memory
// alone, where no other tab and no later visit finds them.

import { useSyncExternalStore } from 'react';

const LONGEST = 2 ** 31 - 1; // milliseconds that a timer can wait
const NOBODY = { status: 'signed-out', reason: null, isExpiring: false, isOffline: false, expiresAt: null };

export function useSession(client) {
  return useSyncExternalStore(client.subscribe, client.state, client.state);
}

export class SessionClient {
  #api;
  #warnBefore;
  #listeners = new Set();
  #timers = new Map();
  #state = NOBODY;
  #tokens = null;
  #ahead = 0; // milliseconds that the server's clock is ahead of this one
  #refreshing = null;

  // `warnBefore`: milliseconds before the session's end at which `isExpiring` becomes true.
  constructor(api, { warnBefore = 120_000 } = {}) {
    this.#api = api;
    this.#warnBefore = warnBefore;
  }

  subscribe = (listener) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  state = () => this.#state;

  // Begins a session with the provider's token.
  async signIn(provided) {
    const response = await this.#send('/create', { method: 'POST', headers: { Authorization: `Bearer ${provided}` } });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.reason ?? answer.detail);
    this.#accept(answer);
  }

  async signOut() {
    const response = await this.fetch('/current', { method: 'DELETE' });
    if (response.ok) this.#end('signed-out', null);
  }

  // Sends a request with the access token. An answer of 401 ends the session on this page too, unless it is for tokens
  // that another request has replaced meanwhile.
  async fetch(path, options = {}) {
    for (const isFirst of [true, false]) {
      const used = this.#tokens;
      const headers = { ...options.headers, Authorization: `Bearer ${used?.token}` };
      const response = await this.#send(path, { ...options, headers });
      if (response.status !== 401 || !used) return response;
      const { reason } = await response.clone().json();
      const isExpired = isFirst && reason === 'token_expired';
      if (this.#tokens === used && !isExpired) this.#end('ended', reason);
      if (!isExpired || !this.#tokens || (this.#tokens === used && !await this.refresh())) return response;
    }
  }

  // Exchanges the refresh token. True if there are new tokens.
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async #refresh() {
    const used = this.#tokens;
    // A refresh token may be offered again within ten seconds: enough for three more tries.
    for (const pause of [1000, 2000, 4000, null]) {
      if (!used || this.#tokens !== used) return false;
      const body = JSON.stringify({ refresh_token: used.refresh_token });
      const headers = { 'Content-Type': 'application/json' };
      const response = await this.#send('/refresh', { method: 'POST', headers, body }).catch(() => null);
      if (this.#tokens !== used) return false; // signed out meanwhile
      if (response?.ok) {
        this.#accept(await response.json());
        return true;
      }
      if (response?.status === 401) {
        this.#end('ended', (await response.json()).reason);
        return false;
      }
      this.#show({ isOffline: true });
      if (pause !== null) await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.#later('refresh', 10_000, () => this.refresh());
    return false;
  }

  #send(path, options) {
    return fetch(this.#api + path, options);
  }

  #accept(tokens) {
    this.#tokens = tokens;
    this.#ahead = tokens.now - Date.now();
    const [left, tokenLeft] = [tokens.expires_at - tokens.now, tokens.token_expires_at - tokens.now];
    // A token that lasts as long as its session has no successor.
    if (tokenLeft < left - 1000) this.#later('refresh', tokenLeft - Math.min(30_000, tokenLeft / 5), () => this.refresh());
    else this.#cancel('refresh');
    this.#later('warn', left - this.#warnBefore, () => this.#show({ isExpiring: true }));
    this.#later('end', left, () => this.#end('ended', 'expired'));
    const expiresAt = new Date(tokens.expires_at - this.#ahead);
    this.#show({ status: 'active', reason: null, isExpiring: left <= this.#warnBefore, isOffline: false, expiresAt });
  }

  #end(status, reason) {
    this.#tokens = null;
    for (const name of this.#timers.keys()) this.#cancel(name);
    this.#show({ ...NOBODY, status, reason });
  }

  #show(change) {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  #cancel(name) {
    clearTimeout(this.#timers.get(name));
  }

  #later(name, delay, action) {
    this.#cancel(name);
    const wait = Math.max(0, Math.min(delay, LONGEST));
    const go = () => (delay > LONGEST ? this.#later(name, delay - LONGEST, action) : action());
    this.#timers.set(name, setTimeout(go, wait));
  }
}
