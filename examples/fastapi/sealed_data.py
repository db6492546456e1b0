"""Session data that Redis cannot read: docs/sealed-data.md says what a sealed value looks like. Copy this file beside
redis_session.py. It needs PyNaCl.

    keys = DataKeys(("2026-11", key))  # 32 bytes from your own store of secrets
    sessions = Sessions(connect("redis://localhost:6379"), keys=keys)
"""

import os
import struct

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt
from nacl.exceptions import CryptoError

VERSION = 1
NONCE = 24


class DataKeys:
    def __init__(self, *keys):
        """Pairs of an id and a key of 32 random bytes: the first key seals, all of them open."""
        self._keys = {kid.encode(): bytes(key) for kid, key in keys}
        if not keys or any(not 1 <= len(kid) <= 255 or len(key) != 32 for kid, key in self._keys.items()):
            raise ValueError("a key has 32 bytes, and its id has 1 to 255")

    def seal(self, user, id, field, value):
        kid, key = next(iter(self._keys.items()))
        head, nonce = bytes([VERSION, len(kid)]) + kid, os.urandom(NONCE)
        return head + nonce + encrypt(value, _associated(head, user, id, field), nonce, key)

    def open(self, user, id, field, sealed):
        """Raises ValueError for a value that was not sealed for this place with one of the keys."""
        head = sealed[: 2 + sealed[1]] if len(sealed) > 1 else b""
        key = self._keys.get(head[2:])
        rest = sealed[len(head) :]
        if key is None or head[0] != VERSION or len(rest) < NONCE:
            raise ValueError(f"the field {field} is not sealed, or with a key that is not known")
        try:
            return decrypt(rest[NONCE:], _associated(head, user, id, field), rest[:NONCE], key)
        except CryptoError:
            raise ValueError(f"the field {field} was changed, or sealed for another place") from None


def _associated(head, *parts):
    encoded = [part.encode() for part in parts]
    return b"redis-session data" + head + b"".join(struct.pack("<I", len(part)) + part for part in encoded)
