"""Django's sessions, for guests and users: copy this file beside redis_session.py.

    SESSION_ENGINE = "session_engine"
    REDIS_URL = "redis://localhost:6379"
    SESSION_COOKIE_AGE = 1800  # how long a session lasts without a request
    SESSION_ABSOLUTE_AGE = 86_400  # how long it lasts at most

The secret in the cookie never reaches Redis: a session's id there is its SHA-256. A user's sessions are in one list, so
`sessions.list(name_of(user.pk))` shows them and `sessions.revoke_user(name_of(user.pk))` ends them. A save writes the
keys that the request has changed and no others, and never brings a session back that has been ended.
"""

import base64
import hashlib
import json
import secrets

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError

from redis_session import Sessions, code, connect, redis

sessions = Sessions(connect(settings.REDIS_URL))


def name_of(pk):
    """The name of a Django user on the server. The prefix keeps it apart from users of other services and issuers."""
    return f"django-{pk}"


def new_secret(user):
    return f"{base64.urlsafe_b64encode(user.encode()).decode().rstrip('=')}.{secrets.token_urlsafe(24)}"


def owner_of(secret):
    """The user whose session it is; empty for a guest."""
    part = secret.split(".")[0]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()


def place(secret):
    """The user and the id by which the server knows the session. A guest has a list of one session."""
    id = hashlib.sha256(secret.encode()).hexdigest()
    owner = owner_of(secret)
    return name_of(owner) if owner else f"guest-{id}", id


class SessionStore(SessionBase):
    _stored = None  # the keys as JSON, as the server has them

    def _validate_session_key(self, key):
        try:
            return super()._validate_session_key(key) and "." in key and place(key) is not None
        except (ValueError, AttributeError):
            return False

    def exists(self, session_key):
        return sessions.get(*place(session_key)) is not None

    def load(self):
        answer = sessions.touch_id(*place(self.session_key), full=True) if self.session_key else {"active": False}
        if not answer["active"]:
            self._session_key = None
            return {}
        self._stored = snapshot(answer["data"])
        return answer["data"]

    def create(self):
        self.save(must_create=True)
        self.modified = True

    def save(self, must_create=False):
        data = self._get_session(no_load=must_create)
        old, now = self.session_key, snapshot(data)
        user = str(data.get(SESSION_KEY, ""))
        # A user who signs in gets another secret, as Django requires, and the session moves to the list of the user.
        if must_create or old is None or owner_of(old) != user:
            self._begin(user, data)
            if old and not must_create:
                self.delete(old)
        else:
            self._change(old, {name: data[name] for name in now if now[name] != (self._stored or {}).get(name)}, now)
        self._stored = now

    def _begin(self, user, data):
        secret = new_secret(user)
        owner, id = place(secret)
        try:
            limits = {"idle": self.get_expiry_age(), "ttl": settings.SESSION_ABSOLUTE_AGE, "token": "NONE"}
            sessions.create(owner, id=id, data=data, **limits)
        except redis.ResponseError as error:
            raise CreateError from error
        self._session_key = secret

    def _change(self, secret, changed, now):
        removed = [name for name in self._stored or {} if name not in now]
        try:
            if changed:
                sessions.set(*place(secret), changed)
            if removed:
                sessions.unset(*place(secret), *removed)
        except redis.ResponseError as error:
            if code(error) != "NOSESSION":
                raise
            raise UpdateError from error  # ended meanwhile: the middleware answers 400

    def delete(self, session_key=None):
        secret = session_key or self.session_key
        if secret:
            sessions.revoke(*place(secret))

    @classmethod
    def clear_expired(cls):
        """Does nothing: the server removes expired sessions by itself."""


def snapshot(data):
    return {name: json.dumps(value) for name, value in data.items()}
