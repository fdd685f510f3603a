"""The verifiers: how each is made, and started as a service."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

from processes import Envoy, Program

SOURCES = pathlib.Path(__file__).parent


class Missing(Exception):
    """A tool is not on this machine. The message names it, and how to install it."""


class Language:
    """A verifier that can be made and started."""

    # Whether code of the app verifies: it sees all copies of the header, and an unknown kid makes it fetch again.
    is_library = True
    # The pause of a service that is to fetch again only when its keyset is old.
    endless_pause = 600

    def __init__(self, target):
        self.target = target

    def make(self):
        """Builds it below target/; raises Missing if a tool is not there."""

    def command(self):
        """What runs it."""
        raise NotImplementedError

    def start(self, name, settings, directory):
        """Starts it as a service, and returns its URL."""
        environment = os.environ | {variable: str(value) for variable, value in settings.items()}
        return Program(name, self.command(), directory, environment).url()


class Python(Language):
    name = "python"

    def command(self):
        return [sys.executable, SOURCES / "python/app.py"]


class Rust(Language):
    name = "rust"

    def make(self):
        need("cargo", "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y")
        run(["cargo", "build", "--quiet", "--locked", "--workspace", "--bin", "verifier", "--target-dir", self.target])

    def command(self):
        return [self.target / "debug/verifier"]


class Node(Language):
    name = "node"

    def make(self):
        need("node", "apt-get install -y nodejs npm, or nodejs.org for one of 20.19 or later")
        need("npm", "apt-get install -y npm")
        if version("node", "--version", "v") < (20, 19):
            raise Missing("node 20.19 or later: nodejs.org has it")
        copy(SOURCES / "node", self.directory())
        fetch(["npm", "ci", "--no-audit", "--no-fund"], cwd=self.directory())

    def directory(self):
        return self.target / "verifiers/node"

    def command(self):
        return ["node", self.directory() / "app.mjs"]


class Go(Language):
    name = "go"

    def make(self):
        need("go", "go.dev/dl has 1.24 and later")
        copy(SOURCES / "go", self.directory())
        fetch(["go", "list", "-deps", "."], cwd=self.directory())
        run(["go", "build", "-o", "verifier", "."], cwd=self.directory())

    def directory(self):
        return self.target / "verifiers/go"

    def command(self):
        return [self.directory() / "verifier"]


HINT = " (or set CLASSPATH to the jars of jose4j and slf4j-api)"


class Java(Language):
    """Takes jose4j from CLASSPATH where that is set, else from Maven."""

    name = "java"
    # jose4j keeps a keyset for the length of the pause, even an old one.
    endless_pause = 1

    def make(self):
        need("javac", "apt-get install -y default-jdk-headless")
        directory = self.directory()
        copy(SOURCES / "java", directory)
        if "CLASSPATH" not in os.environ:
            need("mvn", f"apt-get install -y maven{HINT}")
            fetch(["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"], HINT, cwd=directory)
        run(["javac", "-Xlint:all", "-Werror", "-cp", self.jars(), "-d", directory / "classes",
             *directory.glob("*.java")])

    def directory(self):
        return self.target / "verifiers/java"

    def jars(self):
        return os.environ.get("CLASSPATH") or f"{self.directory()}/lib/*"

    def command(self):
        return ["java", "-cp", f"{self.directory()}/classes:{self.jars()}", "App"]


class Sidecar(Language):
    """jwt_authn of an Envoy of its own, in front of an app that verifies nothing."""

    name = "sidecar"
    is_library = False

    def start(self, name, settings, directory):
        app = Program(f"{name}-app", [sys.executable, SOURCES / "sidecar/app.py"], directory)
        bootstrap = relocated((SOURCES / "sidecar/envoy.yaml").read_text(), app.url(), settings)
        return Envoy(name, bootstrap, directory).listener("sidecar")


def relocated(text, app, settings):
    """The shipped configuration with the addresses, the name and the cache time of the test."""
    proxy = settings["JWKS_URL"].split("/")[2]
    for shipped, ours in [
        ("address: 0.0.0.0, port_value: 8000", "address: 127.0.0.1, port_value: 0"),
        ("port_value: 8080", f"port_value: {app.split(':')[-1]}"),
        ("http://proxy.example.com:10000/.well-known/pomerium/jwks.json", settings["JWKS_URL"]),
        ("address: proxy.example.com, port_value: 10000", "address: {}, port_value: {}".format(*proxy.split(":"))),
        ("issuer: app.example.com", f"issuer: {settings['ISSUER']}"),
        ("audiences: [app.example.com]", f"audiences: [{settings['AUDIENCE']}]"),
        ("cache_duration: 60s", f"cache_duration: {settings['KEYSET_MAX_AGE']}s"),
    ]:
        if text.count(shipped) != 1:
            raise SystemExit(f"sidecar/envoy.yaml does not hold once: {shipped}")
        text = text.replace(shipped, ours)
    return text + "\nadmin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}\n"


def need(program, install):
    if not shutil.which(program):
        raise Missing(f"{program}: {install}")


def version(program, argument, prefix):
    """The first two numbers of a version that a program prints."""
    text = subprocess.run([program, argument], capture_output=True, text=True, check=True).stdout
    return tuple(int(number) for number in text.split(prefix, 1)[1].split(".")[:2])


def copy(source, destination):
    """Copies the sources to where packages may be put beside them."""
    destination.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        if file.is_file():
            shutil.copy(file, destination)


def fetch(command, hint="", **options):
    """Runs something that needs packages from the network."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode:
        raise Missing(f"its packages{hint}; `{' '.join(command)}` says: {first_line(done.stdout)}")


def first_line(output):
    """Without colours, and no longer than a line."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output).strip().partition("\n")[0][:120]


def run(command, **options):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")


ALL = [Python, Rust, Node, Go, Java, Sidecar]
