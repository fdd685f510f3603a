"""A service that knows nothing of assertions: it believes the headers that its sidecar sets."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"sub": self.headers.get("X-User"), "email": self.headers.get("X-Email")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), App)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
