"""Moves three set-ups from Pomerium to Envoy with `attest from-pomerium`, and has their apps say who is asking.

Each app knows users in its own way: a wiki by a header that it is told the name of, a WSGI app by REMOTE_USER, dashboards
by a JOSE library. Envoy fetches the identity provider's keys, verifies users' tokens, and signs; the apps fetch the
keyset from it. What is done by hand here is what the command says is left: `to do` in its list.
"""

import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import jwt

import apps
import languages
from keys import Key
from main import MODULE
from processes import DIRECT, TARGET, Envoy, Program, end_all, eventually, free_port, get

HERE = pathlib.Path(__file__).with_name("migrated")
ATTEST = pathlib.Path(os.environ.get("ATTEST") or TARGET / "debug/attest")
ANN = {"sub": "1", "email": "ann@example.com", "name": "Ann", "groups": ["admins"]}
BOB = {"sub": "2", "email": "bob@example.com", "name": "Bob", "groups": []}
EVE = {"sub": "3", "email": "eve@example.org", "name": "Eve", "groups": []}
FORGED = {"X-Pomerium-Jwt-Assertion": "forged", "X-Pomerium-Claim-Email": ANN["email"], "X_Pomerium_Claim_Email": ANN["email"]}


class Provider:
    """An identity provider: a keyset that Envoy fetches, and tokens."""

    def __init__(self):
        self.key = Key.rsa()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def handler(self):
        keyset = self.keyset()

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(keyset)))
                self.end_headers()
                self.wfile.write(keyset)

            def log_message(self, *_):
                pass

        return Keys

    def keyset(self):
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.private.public_key()))
        return json.dumps({"keys": [jwk | {"kid": self.key.kid, "alg": "RS256", "use": "sig"}]}).encode()

    def discovery(self):
        """What it would answer at /.well-known/openid-configuration."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", "authorization_endpoint": f"{self.url}/auth",
                "token_endpoint": f"{self.url}/token"}

    def bearer(self, claims):
        now = int(time.time())
        token = self.key.sign(claims | {"iss": self.url, "aud": "client", "iat": now, "exp": now + 300})
        return {"Authorization": f"Bearer {token}"}


class Moved:
    """A set-up behind the Envoy that was written for it."""

    def __init__(self, name, provider, directory):
        self.provider, self.directory, self.app_port = provider, directory / name, free_port()
        self.directory.mkdir()
        said = self.translate(name)
        self.done_by_hand = [left["reason"] for left in said["left"] if left["kind"] == "to do"]
        text = json.dumps(said["envoy"]).replace("/run/secrets/attestation", str(self.directory))
        text = text.replace("/etc/envoy/attestation_filter.wasm", str(MODULE)).replace("9901", "0")
        (self.directory / "signing-key.pem").write_text(Key.p256().pem())
        self.url = Envoy(name, text, self.directory).listener("ingress").replace("127.0.0.1", "localhost")
        self.jwks_url = f"{self.url}/.well-known/pomerium/jwks.json"
        eventually("the keyset", lambda: get(self.jwks_url).status == 200)

    def translate(self, name):
        discovery = self.directory / "openid-configuration.json"
        discovery.write_text(json.dumps(self.provider.discovery()))
        text = (HERE / f"{name}.yaml").read_text()
        text = text.replace("${APP}", f"http://127.0.0.1:{self.app_port}").replace("${PROVIDER}", self.provider.url)
        done = subprocess.run([ATTEST, "from-pomerium", "-", "--bearer", "--json", "--openid-configuration", discovery],
                              input=text, stdout=subprocess.PIPE, text=True, check=True)
        if "SECRET" in done.stdout:
            raise SystemExit(f"{name}: a secret came out")
        return json.loads(done.stdout)

    def start(self, name, command):
        """Starts the app as a person would tell it where the keyset is."""
        settings = {"PORT": str(self.app_port), "JWKS_URL": self.jwks_url, "AUDIENCE": "localhost", "ISSUER": "localhost"}
        Program(name, command, self.directory, os.environ | settings)
        eventually(f"{name} to answer", lambda: get(f"{self.url}/", self.provider.bearer(ANN)).status == 200)

    def ask(self, path, who, headers=()):
        """A request of somebody, always with forged headers beside it."""
        bearer = self.provider.bearer(who) if who else {}
        return get(self.url + path, FORGED | bearer | dict(headers))

    def expect(self, path, who, status, part=""):
        answer = self.ask(path, who)
        if answer.status != status or part not in answer.body:
            raise SystemExit(f"{path}, {who}: {answer.status} {answer.body}, not {status} with {part}")


def wiki(moved, directory):
    """TiddlyWiki: bob may read, ann may write as well."""
    program = tiddlywiki() / "node_modules/.bin/tiddlywiki"
    folder = directory / "pages"
    apps.run([program, folder, "--init", "server"], stdout=subprocess.DEVNULL)
    moved.start("wiki-app", [
        program, folder, "--listen", f"port={moved.app_port}", "host=127.0.0.1", "readers=(authenticated)",
        "authenticated-user-header=X-Pomerium-Claim-Email", f"writers={ANN['email']}"])
    moved.expect("/status", ANN, 200, '"username":"ann@example.com","anonymous":false,"read_only":false')
    moved.expect("/status", BOB, 200, '"username":"bob@example.com","anonymous":false,"read_only":true')
    moved.expect("/status", EVE, 403)
    moved.expect("/status", None, 401)
    # The wiki itself refuses a reader with 401.
    for who, expected in ((ANN, 204), (BOB, 401)):
        status = put(moved, "/recipes/default/tiddlers/Page", who)
        if status != expected:
            raise SystemExit(f"{who} writes a page: {status}, not {expected}")


def tiddlywiki():
    """Where it is, with the version that package.json beside the set-ups names."""
    apps.need("npm", "apt-get install -y npm")
    directory = TARGET / "verifiers/migrated"
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, directory)
    apps.fetch(["npm", "ci", "--no-audit", "--no-fund"], cwd=directory)
    return directory


def put(moved, path, who):
    """The status of a page that is written."""
    headers = {"Content-Type": "application/json", "X-Requested-With": "TiddlyWiki"} | moved.provider.bearer(who)
    request = urllib.request.Request(moved.url + path, b'{"title":"Page","text":"x"}', headers, method="PUT")
    try:
        with DIRECT.open(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as answer:
        return answer.code


def admin(moved, _):
    """A WSGI app: everybody of the company, the admin's page for admins, a public page for all."""
    moved.start("admin-app", [sys.executable, HERE / "wsgi.py"])
    for path, who, status, user in [
        ("/", ANN, 200, "ann@example.com"), ("/", BOB, 200, "bob@example.com"), ("/", EVE, 403, ""), ("/", None, 401, ""),
        ("/admin/x", ANN, 200, "ann@example.com"), ("/admin/x", BOB, 403, ""), ("/up", None, 200, "")]:
        moved.expect(path, who, status, user)
    if moved.ask("/up", None).body:
        raise SystemExit("a public page names somebody")


def dashboards(moved, _):
    """An app with jose: whoever is signed in, but for two rules that deny."""
    node = languages.Node()
    node.make()
    moved.start("dashboards-app", node.command())
    moved.expect("/", ANN, 200, '"email":"ann@example.com"')
    moved.expect("/", BOB | {"blocked": False}, 200, '"email":"bob@example.com"')
    moved.expect("/", BOB | {"blocked": True}, 403)
    moved.expect("/", EVE, 403)
    moved.expect("/", None, 401)


def main():
    missing = []
    with tempfile.TemporaryDirectory(prefix="migrated-") as name:
        directory = pathlib.Path(name)
        try:
            for check in (wiki, admin, dashboards):
                moved = Moved(check.__name__, Provider(), directory)
                try:
                    check(moved, directory)
                except apps.Missing as error:
                    missing.append(check.__name__)
                    print(f"  {check.__name__}: NOT TESTED, for this machine lacks {error}", flush=True)
                    continue
                print(f"  {check.__name__}: moved; by hand: {'; '.join(moved.done_by_hand) or 'nothing'}", flush=True)
        finally:
            end_all()
    if missing and os.environ.get("REQUIRE_ALL") == "1":
        sys.exit("not every set-up was tested")


if __name__ == "__main__":
    main()
