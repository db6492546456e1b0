"""Accounts and sessions with FastAPI: sign up, sign in, refresh, list, sign out here or everywhere."""

import asyncio
import hashlib
import hmac
import ipaddress
import os
import secrets
import sqlite3
import sys
import time
from contextlib import asynccontextmanager
from typing import Annotated

import redis
from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, Field

from redis_session import Sessions, connect, connect_async

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
DATABASE = os.environ.get("DATABASE", "accounts.sqlite")
DAY, TRIES, WINDOW = 86_400, 5, 15 * 60

client = connect_async(REDIS_URL)
sessions = Sessions(client)


@asynccontextmanager
async def lifespan(_):
    yield
    await client.aclose()


app = FastAPI(title="Accounts and sessions", lifespan=lifespan)


@app.exception_handler(redis.RedisError)
async def redis_is_away(_request, _error):
    return JSONResponse({"detail": "Logins cannot be checked at the moment"}, 503, {"Retry-After": "1"})


# --- Accounts: a table, and passwords hashed with scrypt.

db = sqlite3.connect(DATABASE, check_same_thread=False, isolation_level=None)
db.execute(
    "CREATE TABLE IF NOT EXISTS accounts"
    " (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE, hash BLOB, role TEXT DEFAULT 'user')"
)


COST = {"n": 2**14, "r": 8, "p": 5}  # as OWASP advises


def hashed(password, salt):
    return salt + hashlib.scrypt(password.encode(), salt=salt, **COST)


NOBODY = hashed("", secrets.token_bytes(16))


def find_account(name, password):
    """The account's id and role if the password is right. A name that nobody has takes as long as any other."""
    row = db.execute("SELECT id, role, hash FROM accounts WHERE name = ?", (name,)).fetchone()
    id, role, stored = row or (None, None, NOBODY)
    return (str(id), role) if hmac.compare_digest(hashed(password, stored[:16]), stored) and row else None


# --- Sign in.


class NewAccount(BaseModel):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@+-]+$")
    password: str = Field(min_length=12, max_length=256)


def client_of(request):
    """uvicorn takes the address from X-Forwarded-For if the proxy that sends it is in --forwarded-allow-ips."""
    return {"ip": request.client.host, "agent": request.headers.get("user-agent")}


async def count_try(request, by, what="tries"):
    """Counts a try to sign in. One client has many IPv6 addresses, so a /64 counts as one address."""
    address = ipaddress.ip_address(request.client.host)
    network = ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address
    async with client.pipeline(transaction=True) as pipe:
        name = f"{what}:{network}"
        pipe.set(name, 0, ex=WINDOW, nx=True).incrby(name, by).ttl(name)
        _, tries, seconds = await pipe.execute()
    if tries > TRIES:
        raise HTTPException(429, "Too many tries. Please wait.", {"Retry-After": str(max(seconds, 1))})


def tokens(answer):
    return {
        "access_token": answer["token"],
        "token_type": "bearer",
        "expires_in": max(0, answer["token_expires_at"] // 1000 - int(time.time())),
        "refresh_token": answer["refresh_token"],
        "new_ip": answer["new_ip"],
    }


@app.post("/register", status_code=201)
async def register(account: NewAccount, request: Request):
    await count_try(request, 1, "accounts")  # hashing is dear
    row = (account.name, await asyncio.to_thread(hashed, account.password, secrets.token_bytes(16)))
    try:
        return {"id": db.execute("INSERT INTO accounts (name, hash) VALUES (?, ?)", row).lastrowid}
    except sqlite3.IntegrityError:
        raise HTTPException(409, "This name is taken") from None


@app.post("/login")
@app.post("/token")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, remember: bool = Form(False)):
    await count_try(request, 1)  # before the password is checked: tries at the same time count, too
    account = await asyncio.to_thread(find_account, form.username, form.password)
    if account is None:
        raise HTTPException(401, "Incorrect username or password", {"WWW-Authenticate": "Bearer"})
    await count_try(request, -1)
    user, role = account
    lifetime = {"ttl": 30 * DAY, "refresh": 30 * DAY} if remember else {"ttl": DAY, "idle": 3600, "refresh": DAY}
    answer = await sessions.create(user, claims={"role": role}, tokenttl=900, **lifetime, **client_of(request))
    return tokens(answer)


@app.post("/refresh")
async def refresh(refresh_token: Annotated[str, Form()], request: Request):
    return tokens(alive(await sessions.refresh(refresh_token, **client_of(request))))


# --- Signed in.

bearer = OAuth2PasswordBearer(tokenUrl="token")

TEXTS = {
    "revoked": "Token has been revoked",
    "user_revoked": "All user sessions have been revoked",
    "token_expired": "Token has expired",
    "expired": "Session has expired",
    "idle": "Session has expired",
    "evicted": "Signed in on too many other devices",
    "reused": "Session has ended: its refresh token was used twice",
}


def alive(answer):
    if "reason" in answer:
        text = TEXTS.get(answer["reason"], "Could not validate credentials")
        raise HTTPException(401, text, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    return answer


async def current_session(token: Annotated[str, Depends(bearer)], request: Request) -> dict:
    """The live session of the request's token: `user`, `id`, `claims`, `data` and so on. Else 401, or 503."""
    return alive(await sessions.touch(token, ip=request.client.host, full=True))


CurrentSession = Annotated[dict, Depends(current_session)]


@app.get("/me")
async def me(session: CurrentSession):
    return {"id": session["user"], "role": session["claims"]["role"], "session": session["id"]}


@app.get("/sessions")
async def list_sessions(session: CurrentSession):
    shown = ("id", "created_at", "last_seen_at", "expires_at", "ip", "agent")
    found = await sessions.list(session["user"])
    return [{name: s[name] for name in shown} | {"current": s["id"] == session["id"]} for s in found]


@app.delete("/sessions/{id}", status_code=204)
async def end_session(id: str, session: CurrentSession):
    if not await sessions.revoke(session["user"], id):
        raise HTTPException(404, "You have no such session")


@app.post("/logout", status_code=204)
async def logout(token: Annotated[str, Depends(bearer)]):
    await sessions.revoke_token(token)  # also with an access token that has expired


@app.post("/logout-all")
async def logout_all(session: CurrentSession):
    return {"ended": await sessions.revoke_user(session["user"])}


@app.get("/admin/stats")
async def stats(session: CurrentSession):
    if session["claims"]["role"] != "admin":
        raise HTTPException(403, "Administrators only")
    found = await sessions.stats()
    return {name: found[name] for name in ("users", "sessions", "created", "revoked", "evicted", "reused")}


if __name__ == "__main__":  # python app.py grant-admin NAME. Sessions keep the role they began with, so they end.
    found = db.execute("UPDATE accounts SET role = 'admin' WHERE name = ? RETURNING id", sys.argv[2:]).fetchone()
    print(Sessions(connect(REDIS_URL)).revoke_user(str(found[0])) if found else "There is no such account")
