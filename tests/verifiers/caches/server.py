"""A keyset that changes, as a proxy publishes it, and tokens of its keys."""

import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

now = time.time()


class Keyset:
    """At first key a; the new key b is added later."""

    def __init__(self):
        self.keys = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in "ab"}
        self.published = "a"
        self.times_asked = 0
        handler = type("Handler", (Handler,), {"keyset": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self.url = f"{self.issuer}/jwks.json"

    def json(self):
        algorithm = jwt.algorithms.ECAlgorithm
        jwk = lambda kid: json.loads(algorithm.to_jwk(self.keys[kid].public_key()))
        return {"keys": [{"use": "sig", "kid": kid, "alg": "ES256", **jwk(kid)} for kid in self.published]}

    def token(self, kid):
        claims = {"iss": self.issuer, "aud": "app", "sub": "ann", "iat": int(now) - 10, "exp": int(now) + 10**8}
        return jwt.encode(claims, self.keys[kid], "ES256", {"kid": kid})


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/.well-known/openid-configuration":
            answer = {"issuer": self.keyset.issuer, "jwks_uri": self.keyset.url}
        else:
            self.keyset.times_asked += 1
            answer = self.keyset.json()
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("cache-control", "public, max-age=60")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
