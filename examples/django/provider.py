"""A stand-in for an OpenID Connect provider, for tests and for trying things out: it has an RSA key and signs tokens.

python provider.py keys FOLDER        # makes the key, and the files for session.issuers-file in FOLDER
python provider.py token FOLDER USER  # prints a token that is good for an hour
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import time

ISSUER = "https://id.example.com/"
AUDIENCE = "https://api.example.com"


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def make_keys(folder):
    """Makes the key and the files, and returns the value of session.issuers-file."""
    key = os.path.join(folder, "provider.pem")
    openssl("genrsa", "-out", key, "2048")
    modulus = openssl("rsa", "-in", key, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
    jwk = {
        "kty": "RSA",
        "kid": "2026",
        "alg": "RS256",
        "use": "sig",
        "e": "AQAB",
        "n": base64url(bytes.fromhex(modulus)),
    }
    issuer = {"iss": ISSUER, "jwks": "provider.jwks.json", "aud": [AUDIENCE]}
    for name, content in [("provider.jwks.json", {"keys": [jwk]}), ("issuers.json", {"issuers": [issuer]})]:
        with open(os.path.join(folder, name), "w") as file:
            os.chmod(file.fileno(), 0o600)
            json.dump(content, file)
    return "issuers.json"


def token(folder, user, lifetime=3600, **claims):
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "sid": secrets.token_hex(8),
        "iat": now,
        "exp": now + int(lifetime),
    } | claims
    parts = [{"alg": "RS256", "kid": "2026", "typ": "JWT"}, claims]
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    key = os.path.join(folder, "provider.pem")
    return f"{signed}.{base64url(openssl('dgst', '-sha256', '-sign', key, data=signed.encode()))}"


if __name__ == "__main__":
    print({"keys": make_keys, "token": token}[sys.argv[1]](*sys.argv[2:]))
