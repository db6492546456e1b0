"""Settings of the project. Those of a production server come from the environment."""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).parent
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379")
SECRET_KEY = os.environ.get("SECRET_KEY") or get_random_secret_key()
DEBUG = False
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
ROOT_URLCONF = "urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DATABASE", "db.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
PAGE = os.environ.get("PAGE", BASE_DIR / "hooks" / "dist")  # what `npm run build` in hooks/ has made

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "history"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]

# Cookie sessions, for Django's own views.
SESSION_ENGINE = "session_engine"
SESSION_COOKIE_AGE = 1800  # without a request
SESSION_ABSOLUTE_AGE = 86_400  # however busy

# Bearer tokens, for the API.
ACCESS_TOKEN_AGE = int(os.environ.get("ACCESS_TOKEN_AGE", 300))
AUDIT_STREAM = "audit"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["drf_sessions.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "drf_sessions.exception_handler",
}
