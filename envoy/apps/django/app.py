"""Django's admin behind the proxy. A user's rights come from the assertion of each request: the group admins may enter."""

import os
import secrets
import socketserver
from wsgiref.simple_server import WSGIServer, make_server

from django.conf import settings

settings.configure(
    SECRET_KEY=secrets.token_hex(), ALLOWED_HOSTS=["localhost"], ROOT_URLCONF=__name__, STATIC_URL="/static/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{os.environ['DATA']}/db.sqlite3"}},
    INSTALLED_APPS=[f"django.contrib.{app}" for app in (
        "admin", "auth", "contenttypes", "sessions", "messages", "staticfiles")],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.auth.middleware.RemoteUserMiddleware", f"{__name__}.rights",
        "django.contrib.messages.middleware.MessageMiddleware"],
    AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
        "context_processors": [f"django.{name}" for name in (
            "template.context_processors.request", "contrib.auth.context_processors.auth",
            "contrib.messages.context_processors.messages")]}}])

from attested import Attested
from django.contrib import admin
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path
from verify import Verifier


def rights(get_response):
    """The last of a user's rights that Django remembers is never asked."""

    def middleware(request):
        if request.user.is_authenticated:
            is_admin = "admins" in request.META["attestation.claims"]["groups"]
            request.user.is_staff = request.user.is_superuser = is_admin
        return get_response(request)

    return middleware


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


django = StaticFilesHandler(get_wsgi_application())
urlpatterns = [path("admin/", admin.site.urls)]
call_command("migrate", verbosity=0)
verifier = Verifier(os.environ["JWKS_URL"], os.environ["AUDIENCE"], os.environ["ISSUER"],
                    pause=float(os.environ.get("KEYSET_PAUSE", "30")))
app = Attested(django, verifier, secrets.token_bytes(), sessions=["sessionid"])
make_server("127.0.0.1", int(os.environ["PORT"]), app, server_class=Server).serve_forever()
