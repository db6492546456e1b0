from django.conf import settings
from django.urls import path
from django.views.static import serve

import views

urlpatterns = [
    path("api/sessions/create", views.create),
    path("api/sessions/refresh", views.refresh),
    path("api/sessions/current", views.Current.as_view()),
    path("api/sessions", views.list_sessions),
    path("api/sessions/invalidate-all", views.invalidate_all),
    path("api/sessions/events", views.events),
    path("cart", views.cart),
    path("login", views.login_page),
    path("logout", views.logout_page),
    # In production your web server serves these files.
    path("page/<path:path>", serve, {"document_root": settings.PAGE}),
]
