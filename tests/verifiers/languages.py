"""The apps in many languages. Those of one language share a program; what verifies is a file for each library."""

import os
import sys

from apps import INSTALL, PLACE, SOURCES, App, Missing, answers, copy, fetch, fetch_once, need, run, version
from processes import TARGET, Program, free_port
from servers import Apache, Haproxy, Sidecar


class Python(App):
    """`module` is the file that verifies."""

    def __init__(self, name, module, **traits):
        super().__init__("python", name, **traits)
        self.module = module

    def command(self):
        return [sys.executable, SOURCES / "python/app.py"]

    def environment(self):
        return {"VERIFIER": self.module}


class Rust(App):
    def make(self):
        need("cargo", "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y")
        run(["cargo", "build", "--quiet", "--locked", "--workspace", "--bin", "verifier", "--target-dir", TARGET])

    def command(self):
        return [TARGET / "debug/verifier"]


class Node(App):
    """`module` is the file that verifies."""

    directory = PLACE / "node"

    def __init__(self, name="node-jose", module="verify.mjs", **traits):
        super().__init__("node", name, **traits)
        self.module = module

    def make(self):
        need("node", "apt-get install -y nodejs npm, or nodejs.org for one of 20.19 or later")
        need("npm", "apt-get install -y npm")
        if version("node", "--version", "v") < (20, 19):
            raise Missing("node 20.19 or later: nodejs.org has it")
        copy(SOURCES / "node", self.directory)
        fetch_once(self.directory / "package-lock.json",
                   ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=self.directory)

    def command(self):
        return ["node", self.directory / "app.mjs"]

    def environment(self):
        return {"VERIFIER": f"./{self.module}"}


class Go(App):
    """`folder` has the file that verifies; the program around it is the same for all."""

    directory = PLACE / "go"

    def __init__(self, name, folder, **traits):
        super().__init__("go", name, **traits)
        self.folder = folder

    def make(self):
        need("go", "go.dev/dl has 1.25 and later")
        copy(SOURCES / "go", self.directory)
        copy(SOURCES / "go" / self.folder, self.directory / self.folder)
        copy(SOURCES / "go/app", self.directory / self.folder)
        fetch(["go", "list", "-deps", f"./{self.folder}"], cwd=self.directory)
        run(["go", "build", "-o", f"{self.folder}/verifier", f"./{self.folder}"], cwd=self.directory)

    def command(self):
        return [self.directory / self.folder / "verifier"]


class Java(App):
    """`folder` has the file that verifies; `shared` is the program around it, if it has none of its own."""

    def __init__(self, name, folder, shared="app", **traits):
        super().__init__("java", name, **traits)
        self.sources, self.shared, self.directory = SOURCES / "java" / folder, shared, PLACE / "java" / folder

    def make(self):
        need("javac", "apt-get install -y default-jdk-headless")
        need("mvn", "apt-get install -y maven")
        copy(self.sources, self.directory)
        fetch_once(self.directory / "jars.sha256", ["mvn", "-q", "-B", "-C", "dependency:copy-dependencies",
                   "-DincludeScope=runtime", "-DoutputDirectory=lib"], cwd=self.directory)
        run(["sha256sum", "--quiet", "--check", "jars.sha256"], cwd=self.directory)
        if self.shared:
            copy(SOURCES / "java" / self.shared, self.directory)
        run(["javac", "-parameters", "-Xlint:all", "-Werror", "-cp", self.jars(), "-d", self.directory / "classes",
             *self.directory.glob("*.java")])

    def jars(self):
        """Those whose hashes were compared, and no other."""
        lines = (self.directory / "jars.sha256").read_text().splitlines()
        return ":".join(str(self.directory / line.split()[1]) for line in lines)

    def command(self):
        return ["java", "-cp", f"{self.directory}/classes:{self.directory}:{self.jars()}", "App"]


class Ruby(App):
    def make(self):
        need("ruby", f"Debian's package ruby; {INSTALL}")
        answers(["ruby", "-rjwt", "-e", ""], f"Debian's package ruby-jwt; {INSTALL}")

    def command(self):
        return ["ruby", SOURCES / "ruby/app.rb"]


class Php(App):
    """In PHP's own server, which answers one request after the other."""

    def make(self):
        need("php", f"Debian's package php-cli; {INSTALL}")
        answers(["php", "-r", "exit((int) !@include 'phpseclib3/autoload.php');"],
                f"Debian's package php-phpseclib3; {INSTALL}")

    def start(self, name, settings, directory):
        address = f"127.0.0.1:{free_port()}"
        environment = {variable: str(value) for variable, value in settings.items()}
        environment["KEYSET_FILE"] = str(directory / f"{name}.keyset.json")
        server = Program(name, ["php", "-S", address, SOURCES / "php/app.php"], directory, os.environ | environment)
        server.wait("to listen", lambda: "started" in server.log.read_text())
        return f"http://{address}"


# jwks-rsa fetches in the same way for an unknown kid and for a key that is old: no key is forgotten within the pause.
JWKS_RSA = {"endless_pause": 1}
# Neither module knows of leeway, nor of a pause, and a user is somebody whose sub is not empty.
APACHE = {"anonymous": False, "leeway": False, "pauses": False}

ALL = [
    Python("python-pyjwt", "verify"),
    Python("python-joserfc", "verify_joserfc"),
    Python("python-authlib", "verify_authlib"),
    Rust("rust", "rust-jsonwebtoken"),
    Node(),
    Node("node-jsonwebtoken", "verify-jsonwebtoken.mjs", **JWKS_RSA),
    Node("node-express-jwt", "verify-express-jwt.mjs", **JWKS_RSA),
    Node("node-fast-jwt", "verify-fast-jwt.mjs", **JWKS_RSA),
    Node("node-passport-jwt", "verify-passport-jwt.mjs", **JWKS_RSA),
    Node("node-aws-jwt-verify", "verify-aws-jwt-verify.mjs"),
    Go("go-jose", "gojose"),
    Go("go-jwt", "golangjwt"),
    Go("go-jwx", "jwx"),
    Go("go-oidc", "oidc", discovers=True),
    # jose4j keeps a keyset for the length of the pause, even an old one.
    Java("java-jose4j", "jose4j", endless_pause=1),
    # Its pause must be shorter than its keyset lives.
    Java("java-nimbus", "nimbus", endless_pause=0.5),
    Java("java-spring", "spring", shared=None, discovers=True),
    Ruby("ruby", "ruby-jwt"),
    Php("php", "php-phpseclib"),
    Sidecar("sidecar", fetches_again=False),
    Apache("apache-oauth2", "oauth2", "libapache2-mod-oauth2", {
        "http://proxy.example.com:10000/.well-known/pomerium/jwks.json": "{JWKS_URL}",
        "jwks_uri.expiry=300": "jwks_uri.expiry={KEYSET_MAX_AGE}",
        "aud:app.example.com": "aud:{AUDIENCE}", "iss:app.example.com": "iss:{ISSUER}"}, **APACHE),
    Apache("apache-openidc", "auth_openidc", "libapache2-mod-auth-openidc", {
        "MetadataURL https://app.example.com": "MetadataURL {ISSUER}", "aud:app.example.com": "aud:{AUDIENCE}",
        "iss:https://app.example.com": "iss:{ISSUER}"}, discovers=True, **APACHE),
    Haproxy("haproxy", fetches_again=False, several_audiences=False),
]


def check_traps(made):
    """Whether libraries do by themselves what the documents say that they do."""
    if "node" in {app.language for app in made}:
        run(["node", "--test", "--test-reporter=dot", "traps.test.mjs"], cwd=Node.directory)
