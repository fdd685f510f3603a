"""A WSGI app that knows nothing of assertions: it believes the headers that its sidecar sets. WSGI reads `X_User` as `X-User`."""

import json
import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def app(environ, start_response):
    body = json.dumps({"sub": environ.get("HTTP_X_USER"), "email": environ.get("HTTP_X_EMAIL")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


server = make_server("127.0.0.1", int(os.environ.get("PORT", "0")), app, Server)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
