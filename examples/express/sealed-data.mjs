// Session data that Redis cannot read: docs/sealed-data.md says what a sealed value looks like. Copy this file beside
// redis-session.mjs.

import { randomBytes } from 'node:crypto';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';

const VERSION = 1;
const NONCE = 24;

function header(kid) {
  return Buffer.concat([Buffer.from([VERSION, kid.length]), kid]);
}

function associated(head, ...parts) {
  const withLengths = parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(Buffer.byteLength(part));
    return [length, Buffer.from(part)];
  });
  return Buffer.concat([Buffer.from('redis-session data'), head, ...withLengths]);
}

export class DataKeys {
  #keys;

  // Pairs of an id and a key of 32 random bytes: the first key seals, all of them open.
  constructor(...keys) {
    this.#keys = keys.map(([kid, key]) => ({ kid: Buffer.from(kid), key: new Uint8Array(key) }));
    const bad = this.#keys.some(({ kid, key }) => kid.length < 1 || kid.length > 255 || key.length !== 32);
    if (bad || this.#keys.length === 0) throw new RangeError('a key has 32 bytes, and its id has 1 to 255');
  }

  seal(user, id, field, value) {
    const [{ kid, key }] = this.#keys;
    const [head, nonce] = [header(kid), randomBytes(NONCE)];
    const sealed = xchacha20poly1305(key, nonce, associated(head, user, id, field)).encrypt(value);
    return Buffer.concat([head, nonce, sealed]);
  }

  open(user, id, field, sealed) {
    const head = sealed.subarray(0, 2 + (sealed[1] ?? 0));
    const known = this.#keys.find(({ kid }) => head.equals(header(kid)));
    if (!known) throw new Error(`the field ${field} is not sealed, or with a key that is not known`);
    const [nonce, rest] = [sealed.subarray(head.length, head.length + NONCE), sealed.subarray(head.length + NONCE)];
    return Buffer.from(xchacha20poly1305(known.key, nonce, associated(head, user, id, field)).decrypt(rest));
  }
}
