"""Servers that verify in front of an app that cannot."""

import pathlib
import shutil
import signal
import sys

from apps import INSTALL, SOURCES, App, Missing, need
from keys import public_pem
from processes import Envoy, Program, free_port, get

APACHE = "apache2"


class Server(App):
    """A server with an app behind it. It sees one header, and must not let the client speak for it."""

    def __init__(self, name, **traits):
        super().__init__("server", name, in_front=True, **traits)

    def configuration(self, path, changes):
        """What is shipped, with the addresses and names of the test."""
        text = (SOURCES / path).read_text()
        for shipped, ours in changes:
            if shipped not in text:
                raise SystemExit(f"{path} does not hold: {shipped}")
            text = text.replace(shipped, str(ours))
        return text


class Sidecar(Server):
    """jwt_authn of an Envoy of its own, in front of an app that verifies nothing."""

    def start(self, name, settings, directory):
        app = start_app(name, directory)
        proxy = settings["JWKS_URL"].split("/")[2]
        bootstrap = self.configuration("sidecar/envoy.yaml", [
            ("address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: 0"),
            ("port_value: 8080", f"port_value: {app}"),
            ("http://proxy.example.com:10000/.well-known/pomerium/jwks.json", settings["JWKS_URL"]),
            ("address: proxy.example.com, port_value: 10000", "address: {}, port_value: {}".format(*proxy.split(":"))),
            ("issuer: app.example.com", f"issuer: {settings['ISSUER']}"),
            ("audiences: [app.example.com]", f"audiences: [{settings['AUDIENCE']}]"),
            ("cache_duration: 60s", f"cache_duration: {settings['KEYSET_MAX_AGE']}s"),
        ])
        admin = "\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"
        return Envoy(name, bootstrap + admin, directory).listener("sidecar")


class Apache(Server):
    """Apache with a module that verifies, in front of a script that reads REMOTE_USER."""

    modules = ["mpm_prefork", "authn_core", "authz_core", "authz_user", "alias", "cgi", "headers"]

    def __init__(self, name, module, package, changes, **traits):
        super().__init__(name, **traits)
        self.module, self.package, self.changes = module, package, changes

    def make(self):
        need(APACHE, f"Debian's package apache2-bin; {INSTALL}")
        if not self.file(self.module).is_file():
            raise Missing(f"Debian's package {self.package}; {INSTALL}")

    @staticmethod
    def file(module):
        return pathlib.Path(f"/usr/lib/apache2/modules/mod_{module}.so")

    def start(self, name, settings, directory):
        place, port = directory / name, free_port()
        place.mkdir()
        # If we are root, Apache is somebody else, who must get there.
        directory.chmod(0o711)
        app = shutil.copy(SOURCES / "apache/app.cgi", place)
        verify = self.configuration(f"apache/verify-{self.module}.conf", [
            (shipped, ours.format(**settings)) for shipped, ours in self.changes.items()])
        modules = "\n".join(f"LoadModule {name}_module {self.file(name)}" for name in [*self.modules, self.module])
        text = self.configuration("apache/server.conf", [
            ("{{directory}}", place), ("{{port}}", port), ("{{modules}}", modules), ("{{app}}", app),
            ("{{verify}}", verify)])
        (place / "apache.conf").write_text(text)
        server = Program(name, [APACHE, "-DFOREGROUND", "-f", place / "apache.conf"], directory)
        server.wait("to listen", lambda: listens(port))
        return f"http://127.0.0.1:{port}"


class Haproxy(Server):
    """jwt_verify. It has public keys in files; whoever changes the keyset writes them, and reloads it."""

    def make(self):
        need("haproxy", f"Debian's package haproxy; {INSTALL}")

    def start(self, name, settings, directory):
        self.place, self.settings, self.port = directory / name, settings, free_port()
        self.place.mkdir()
        self.app = start_app(name, directory)
        self.write()
        self.server = Program(name, ["haproxy", "-W", "-f", self.place / "haproxy.cfg"], directory)
        self.server.wait("to listen", lambda: listens(self.port))
        return f"http://127.0.0.1:{self.port}"

    def write(self):
        shipped = (SOURCES / "haproxy/verify.cfg").read_text().splitlines()
        [line] = [line for line in shipped if "/KID.pem" in line]
        lines = []
        for key in get(self.settings["JWKS_URL"]).json()["keys"]:
            (self.place / f"{key['kid']}.pem").write_bytes(public_pem(key))
            lines.append(line.replace("/etc/haproxy/keys", str(self.place)).replace("KID", key["kid"])
                         .replace("ES256", key["alg"]))
        (self.place / "haproxy.cfg").write_text(self.configuration("haproxy/verify.cfg", [
            (line, "\n".join(lines)), ("hard-stop-after 30s", "hard-stop-after 1s"),
            ("0.0.0.0:8000", f"127.0.0.1:{self.port}"), ("127.0.0.1:8080", f"127.0.0.1:{self.app}"),
            ("'$.aud') -m str app.example.com", f"'$.aud') -m str {self.settings['AUDIENCE']}"),
            ("'$.iss') -m str app.example.com", f"'$.iss') -m str {self.settings['ISSUER']}")]))

    def keyset_changed(self):
        """Gives it the new keys, and waits for the old worker to end."""
        self.write()
        before = self.ended()
        self.server.process.send_signal(signal.SIGUSR2)
        self.server.wait("to reload", lambda: self.ended() > before)

    def ended(self):
        return self.server.log.read_text().count("Former worker")


def start_app(name, directory):
    """The app behind a server that sets its headers, as a port."""
    return Program(f"{name}-app", [sys.executable, SOURCES / "sidecar/app.py"], directory).url().split(":")[-1]


def listens(port):
    try:
        return get(f"http://127.0.0.1:{port}/").status
    except OSError:
        return None
