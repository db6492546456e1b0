"""Sessions in a Redis server with the module redis-session: copy this file into your project.

It works with redis.Redis and redis.asyncio.Redis, on one server, by Sentinel or on a cluster. With a synchronous client
the methods return their answers, with an asynchronous one they return awaitables of them:

    sessions = Sessions(connect("redis://localhost:6379"))
    login = sessions.create("42", ip="203.0.113.7")
    sessions.touch(login["token"])["active"]  # True
    sessions.revoke("42", login["id"])  # 1
    sessions.touch(login["token"])["reason"]  # "revoked"

A bad token is an answer: `active` is False and `reason` says why. An error (redis.RedisError) means that the question
could not be asked, so let nobody in. Times in answers are Unix milliseconds, time spans in arguments are seconds. Data
values are JSON.
"""

import base64
import inspect
import json
import re
import secrets

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX = "sessions:"

# A command may have been carried out when its reply is lost, and a login must not happen twice. So nothing is retried.
OPTIONS = {"protocol": 3, "decode_responses": True, "socket_connect_timeout": 1, "socket_timeout": 1}


def connect(url):
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **OPTIONS)


def connect_async(url):
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **OPTIONS)


def key(user):
    """The key of a user's sessions."""
    if not re.fullmatch(r"[^\x00-\x1f\x7f-\x9f{][^\x00-\x1f\x7f-\x9f]*", user) or len(user.encode()) > 255:
        raise ValueError("a user has 1 to 255 bytes without control characters, and does not begin with a brace")
    return PREFIX + user


def key_of(token):
    """The key of a token's user, or None for a text that is no token. Only the server verifies the token."""
    try:
        part = token.split(".")[1]
        text = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
        user = text if token.startswith(("rst1.", "rsr1.")) else json.loads(text)["sub"]
        return key(str(user) if type(user) is int else user)
    except (ValueError, TypeError, LookupError, RecursionError):
        return None


def code(error):
    """The first word of a server's error, such as SESSIONLIMIT. redis-py keeps the code ERR apart from the text."""
    return getattr(error, "status_code", None) or str(error).split(" ")[0]


def _brief(reply):
    """A reply with BRIEF is a deadline, or a reason."""
    is_active = isinstance(reply, int)
    return {"active": is_active, **({"expires_at": reply} if is_active else {"reason": _text(reply)})}


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _bytes(value):
    """What is no text comes as {"base64": ...}."""
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def _value(written):
    try:
        return json.loads(written)
    except ValueError:
        return _text(written)  # what another program has stored as it is


def _arguments(options):
    """`ttl=60, device=None` as `TTL 60`. A flag is True."""
    for name, value in options.items():
        if value is True:
            yield name.upper()
        elif value is not None and value is not False:
            yield from (name.upper(), value)


class Sessions:
    def __init__(self, client, keys=None):
        """`keys`: the DataKeys of sealed_data.py, if data are to be sealed."""
        self._client = client
        self._keys = keys
        self._is_async = isinstance(client, (redis.asyncio.Redis, redis.asyncio.RedisCluster))

    def _send(self, then, *command):
        reply = self._client.execute_command(*command)
        return _later(reply, then) if inspect.isawaitable(reply) else then(reply)

    def _written(self, user, id, data):
        for name, value in data.items():
            value = json.dumps(value).encode()
            yield from (name, self._keys.seal(user, id, name, value) if self._keys else value)

    def _session(self, session):
        if session and session.get("claims"):
            session["claims"] = json.loads(session["claims"])
        if session and "data" in session:
            place, data = (session["user"], session["id"]), session["data"]
            # Names that are no text make it a list of pairs.
            pairs = data.items() if isinstance(data, dict) else [(_text(_bytes(name)), value) for name, value in data]
            session["data"] = {name: _value(self._opened(place, name, _bytes(value))) for name, value in pairs}
        return session

    def _opened(self, place, name, value):
        return self._keys.open(*place, name, value) if self._keys else value

    def _one(self, reply):
        return self._session(None if reply is None else json.loads(reply))

    def create(self, user, *, data=None, claims=None, jwt=None, **options):
        """Begins a session. Options: id, ttl, idle, max, reject, ip, agent, device, level, token, tokenttl,
        refresh.

        `jwt` is a token of another issuer that the session belongs to (FROM). If it is not good, the answer says why."""
        if claims is not None:
            options["claims"] = json.dumps(claims)
        command = ["SESSION.CREATE", key(user)]
        if data:
            options.setdefault("id", secrets.token_urlsafe(16))  # sealed data are bound to the id
            command += ["DATA", len(data), *self._written(user, options["id"], data)]
        return self._send(json.loads, *command, *_arguments({"from": jwt, **options}), "JSON")

    def _ask(self, command, token, options):
        """The answer about a token, with its user."""
        k = key_of(token)
        if k is None:
            answer = {"active": False, "reason": "malformed"}
            return _later(answer) if self._is_async else answer
        user, is_brief = k.removeprefix(PREFIX), options.get("brief")
        read, form = (_brief, ()) if is_brief else (self._one, ("JSON",))
        return self._send(lambda reply: {"user": user, **read(reply)}, command, k, token, *_arguments(options), *form)

    def validate(self, token, **options):
        """Checks a token. Options: ip, device, aud, level, maxage, stateless; full for the whole session, or brief, which
        is the fastest and leaves out the id."""
        return self._ask("SESSION.VALIDATE", token, options)

    def touch(self, token, **options):
        """Checks a token as `validate` does, and restarts the idle timeout."""
        return self._ask("SESSION.TOUCH", token, options)

    def refresh(self, token, **options):
        """Exchanges a refresh token for new tokens. Options: ip, agent, device."""
        return self._ask("SESSION.REFRESH", token, options)

    def touch_id(self, user, id, **options):
        """Checks a session whose id comes from a trusted place, and restarts the idle timeout."""
        return self._send(self._one, "SESSION.TOUCH", key(user), "ID", id, *_arguments(options), "JSON")

    def regenerate(self, user, id_or_token, *, claims=None, **options):
        """Gives a session a new id and new tokens, as after a change of privileges. Sealed data must be set again.

        Options: level, ttl, ip, agent."""
        options = {"claims": None if claims is None else json.dumps(claims), **options}
        return self._send(json.loads, "SESSION.REGENERATE", key(user), id_or_token, *_arguments(options), "JSON")

    def get(self, user, id):
        """A live session, or None."""
        return self._send(self._one, "SESSION.GET", key(user), id, "JSON")

    def list(self, user):
        """The user's live sessions, newest first."""
        return self._send(
            lambda reply: [self._session(session) for session in json.loads(reply)], "SESSION.LIST", key(user), "JSON"
        )

    def count(self, user):
        """The number of the user's live sessions."""
        return self._send(int, "SESSION.COUNT", key(user))

    def set(self, user, id, fields, version=None):
        """Sets fields of a live session. With a version, fails with CONFLICT if the data has another one."""
        version = "*" if version is None else version
        return self._send(int, "SESSION.SET", key(user), id, "VERSION", version, *self._written(user, id, fields))

    def incr(self, user, id, name, by=1):
        """Adds to a field that is a whole number, and returns the sum. Sealed data cannot be added to."""
        return self._send(int, "SESSION.INCRBY", key(user), id, name, by)

    def unset(self, user, id, *names):
        return self._send(int, "SESSION.UNSET", key(user), id, *names)

    def revoke(self, user, *ids_or_tokens):
        """Ends sessions, and returns how many were alive."""
        return self._send(int, "SESSION.REVOKE", key(user), *ids_or_tokens)

    def revoke_token(self, token):
        """Ends the session of a token, even of one that has expired."""
        k = key_of(token)
        if k is None:
            return _later(0) if self._is_async else 0
        return self._send(int, "SESSION.REVOKE", k, token)

    def revoke_user(self, user, spare=None):
        """Ends all sessions of a user, except the one with the id or token `spare`."""
        return self._send(int, "SESSION.REVOKEUSER", key(user), *_arguments({"except": spare}))

    def stats(self):
        return self._send(json.loads, "SESSION.STATS", "JSON")


async def _later(value, then=lambda value: value):
    return then(await value if inspect.isawaitable(value) else value)
