"""Makes the tokens of python.json, as python-jose and PyJWT make them by default.

    pip install -r requirements.txt && python3 make.py > python.json
"""

import json

import jwt
from jose import jwt as jose

SECRET = "an application's own secret, as long as it has to be"
CLAIMS = [
    # The tutorial of FastAPI: who, and until when.
    {"sub": "ada", "exp": 4102444800},
    # A number: PyJWT took one back until 2.10, and python-jose with verify_sub False.
    {"sub": 42, "exp": 4102444800},
    # Flask-JWT-Extended, by PyJWT.
    {
        "fresh": False,
        "iat": 1795600800,
        "jti": "6e1cd2a4-3b7a-4f6c-9a51-0c8e5f0d7b11",
        "type": "access",
        "sub": "42",
        "nbf": 1795600800,
        "csrf": "0a3d2a3e-3f6d-4c8f-bd0c-0f9a5f1f1c55",
        "exp": 4102444800,
    },
    # djangorestframework-simplejwt, by PyJWT: without a sub.
    {"token_type": "access", "exp": 4102444800, "iat": 1795600800, "jti": "4b2c8a0e5f6d4e1f9c3b7a8d6e5f4c3b", "user_id": 42},
]

made = [
    {"library": library, "secret": secret, "claims": json.dumps(claims, separators=(",", ":")), "token": encode(claims, secret)}
    for library, encode in [
        ("python-jose 3.5.0", lambda claims, secret: jose.encode(claims, secret)),
        ("PyJWT 2.15.1", lambda claims, secret: jwt.encode(claims, secret)),
    ]
    for secret in [SECRET, "secret"]
    for claims in CLAIMS
]
print(json.dumps(made, indent=1))
