"""PyJWT's opinion of tokens, as an application uses it: for each line of standard input, a JSON object with the token in
base64 and what is asked for, a line with its claims, or null if it is not good. The argument is the file of the key set."""

import base64
import json
import sys

import jwt

with open(sys.argv[1], encoding="utf-8") as file:
    KEYS = jwt.PyJWKSet.from_dict(json.load(file)).keys
BY_KID = {key.key_id: key for key in KEYS}
BY_ALGORITHM = {key.algorithm_name: key for key in KEYS}


def claims(asked):
    token = base64.b64decode(asked["token"])
    header = jwt.get_unverified_header(token)
    # The key by the header's kid, or else the only one for its algorithm; that key's algorithm and no other.
    key = BY_KID.get(header["kid"]) if header.get("kid") else BY_ALGORITHM.get(header.get("alg"))
    if key is None:
        return None
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        subject="42",
        issuer=asked["issuer"],
        audience=asked["audience"],
        options={"require": ["exp", "sub"], "verify_aud": asked["audience"] is not None},
    )


for line in sys.stdin:
    try:
        said = claims(json.loads(line))
    # It raises others than its own for some odd tokens.
    except Exception:
        said = None
    print(json.dumps(said), flush=True)
