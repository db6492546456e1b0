"""Authentication for Django REST framework: copy this file beside redis_session.py.

    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["drf_sessions.SessionTokenAuthentication"],
        "EXCEPTION_HANDLER": "drf_sessions.exception_handler",
    }

`request.user` is the Django user whose name is the token's `sub`, and `request.auth` is the session. While Redis is away
the answer is 503.
"""

from django.conf import settings
from django.contrib.auth import get_user_model
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed

from redis_session import Sessions, code, connect, redis

sessions = Sessions(connect(settings.REDIS_URL))

TEXTS = {
    "revoked": "Session has been ended",
    "user_revoked": "All user sessions have been ended",
    "token_expired": "Token has expired",
    "expired": "Session has expired",
    "reused": "Session has been ended: its refresh token was used twice",
}


class RedisIsAway(APIException):
    status_code = 503
    default_detail = "Sessions cannot be checked at the moment"
    default_code = "unavailable"
    wait = 1  # seconds: Retry-After


def refuse(reason):
    raise AuthenticationFailed(TEXTS.get(reason, "Invalid token"), code=reason)


def bearer_token(request):
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def client_of(request):
    """Behind a proxy, a middleware must have put the client's address into REMOTE_ADDR."""
    return {"ip": request.META["REMOTE_ADDR"], "agent": request.headers.get("User-Agent")}


class SessionTokenAuthentication(BaseAuthentication):
    def authenticate(self, request):
        token = bearer_token(request)
        if not token:
            return None
        session = sessions.touch(token, ip=client_of(request)["ip"], full=True)
        if not session["active"]:
            refuse(session["reason"])
        user, _ = get_user_model().objects.get_or_create(username=session["user"])
        return user, session

    def authenticate_header(self, request):
        return "Bearer"


def exception_handler(error, context):
    from rest_framework.views import exception_handler as default_handler  # which imports this file

    if isinstance(error, redis.ResponseError) and code(error) == "NOSESSION":
        error = AuthenticationFailed("Session has been ended", code="revoked")
    elif isinstance(error, redis.RedisError):
        error = RedisIsAway()
    response = default_handler(error, context)
    if response is not None and isinstance(error, AuthenticationFailed):
        response["WWW-Authenticate"] = "Bearer"
        response.status_code = 401
        response.data["reason"] = error.get_codes()
    return response
