"""A service behind the proxy: it says who is calling, to those who bring a good assertion."""

import importlib
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Which library: verify.py has PyJWT.
library = importlib.import_module(os.environ.get("VERIFIER", "verify"))
verifier = library.Verifier(
    os.environ["JWKS_URL"], os.environ["AUDIENCE"], os.environ["ISSUER"],
    float(os.environ.get("KEYSET_MAX_AGE", "300")), float(os.environ.get("KEYSET_PAUSE", "30")))


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            claims = verifier.verify(self.headers.get_all(library.HEADER, []))
            self.answer(200, {"sub": claims["sub"], "email": claims["email"]})
        except library.ERRORS as error:
            self.answer(401, {"error": str(error)})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), App)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
