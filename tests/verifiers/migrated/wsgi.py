"""A WSGI app that believes REMOTE_USER, behind a middleware that sets it for those who bring a good assertion."""

import os
import pathlib
import sys
from wsgiref.simple_server import make_server

import jwt

sys.path.append(str(pathlib.Path(__file__).parents[1] / "python"))
from verify import Verifier


class Attested:
    """Names the user of each request in REMOTE_USER, or nobody."""

    def __init__(self, app, verifier):
        self.app, self.verifier = app, verifier

    def __call__(self, environ, start_response):
        environ.pop("REMOTE_USER", None)
        # Several headers arrive as one with commas, which is no assertion.
        assertion = environ.get("HTTP_X_POMERIUM_JWT_ASSERTION")
        try:
            if assertion:
                environ["REMOTE_USER"] = self.verifier.verify([assertion])["email"]
        except jwt.PyJWTError as error:
            start_response("401 Unauthorized", [("Content-Type", "text/plain")])
            return [str(error).encode()]
        return self.app(environ, start_response)


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("REMOTE_USER", "").encode()]


verifier = Verifier(os.environ["JWKS_URL"], os.environ["AUDIENCE"], os.environ["ISSUER"])
server = make_server("127.0.0.1", int(os.environ["PORT"]), Attested(app, verifier))
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
