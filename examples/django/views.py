"""The API, whose users sign in at an OpenID Connect provider; and three of Django's own views, with a cookie."""

import time

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.http import JsonResponse
from django.views.decorators.http import require_POST
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from drf_sessions import bearer_token, client_of, refuse, sessions
from history.models import SessionEvent
from redis_session import code, key_of, redis

PREFERENCES = {"theme", "language"}


def shown(session):
    names = ("id", "user", "created_at", "last_seen_at", "expires_at", "ip", "agent", "data")
    return {name: session[name] for name in names}


def tokens(answer):
    names = ("id", "expires_at", "token", "token_expires_at", "refresh_token", "new_ip")
    # The server's time is for clients whose clock is wrong.
    return Response({name: answer[name] for name in names} | {"now": time.time_ns() // 1_000_000})


# --- The API. `create` and `refresh` are for users without an access token, and return one.


@api_view(["POST"])
@authentication_classes([])
@permission_classes([])
def create(request):
    """Begins a session with the provider's token. It lasts as long as that; the answer's tokens are our own."""
    provided = bearer_token(request)
    key = key_of(provided)
    if key is None:
        refuse("malformed")
    options = {"token": "JWT", "tokenttl": settings.ACCESS_TOKEN_AGE, "refresh": 0, **client_of(request)}
    try:
        answer = sessions.create(key.removeprefix("sessions:"), jwt=provided, **options)
    except redis.ResponseError as error:
        if code(error) != "SESSIONEXISTS":
            raise
        return Response({"detail": "This token has begun a session already"}, 409)
    return tokens(answer) if "reason" not in answer else refuse(answer["reason"])


@api_view(["POST"])
@authentication_classes([])
@permission_classes([])
def refresh(request):
    answer = sessions.refresh(str(request.data.get("refresh_token", "")), **client_of(request))
    return tokens(answer) if "reason" not in answer else refuse(answer["reason"])


class Current(APIView):
    def get(self, request):
        return Response(shown(request.auth))

    def patch(self, request):
        """Changes the preferences that the request names, and no others."""
        changes = request.data
        strings = isinstance(changes, dict) and all(isinstance(value, str) for value in changes.values())
        if not changes or not strings or not changes.keys() <= PREFERENCES:
            raise ValidationError(f"Only {', '.join(sorted(PREFERENCES))}, as text")
        sessions.set(request.auth["user"], request.auth["id"], changes)
        return Response({**request.auth["data"], **changes})

    def delete(self, request):
        sessions.revoke(request.auth["user"], request.auth["id"])
        return Response(status=204)


@api_view(["GET"])
def list_sessions(request):
    current = request.auth["id"]
    found = sessions.list(request.auth["user"])
    return Response([{**shown(session), "current": session["id"] == current} for session in found])


@api_view(["POST"])
def invalidate_all(request):
    """Ends all sessions of the user, or with `keep_current` all others."""
    spare = request.auth["id"] if request.data.get("keep_current") is True else None
    return Response({"ended": sessions.revoke_user(request.auth["user"], spare)})


@api_view(["GET"])
def events(request):
    """The history of the user's sessions, which `manage.py follow_sessions` records."""
    found = SessionEvent.objects.filter(user=request.auth["user"])[:100]
    return Response([event.shown() for event in found])


# --- With a cookie: guests have a cart, and keep it when they sign in.


@require_POST
def cart(request):
    request.session["cart"] = [*request.session.get("cart", []), request.POST["item"]]
    return JsonResponse({"cart": request.session["cart"]})


@require_POST
def login_page(request):
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return JsonResponse({"detail": "Incorrect username or password"}, status=401)
    login(request, user)
    return JsonResponse({"user": user.pk, "cart": request.session.get("cart", [])})


@require_POST
def logout_page(request):
    logout(request)
    return JsonResponse({})
