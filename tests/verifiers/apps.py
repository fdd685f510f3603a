"""An app that verifies: how it is made and started, and what its library can and cannot do."""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

import keys
from processes import TARGET, Program

SOURCES = pathlib.Path(__file__).parent
PLACE = TARGET / "verifiers"
INSTALL = "scripts/install-verifiers installs it"


class Missing(Exception):
    """A tool is not on this machine. The message names it, and how to install it."""


@dataclasses.dataclass
class Traits:
    """What differs between libraries. docs/verify.md says each of these in words."""

    # An unknown kid makes it fetch the keyset again.
    fetches_again: bool = True
    # It does not do so for each of them.
    pauses: bool = True
    # The pause of a service that is to fetch again only when its keyset is old.
    endless_pause: float = 600
    # It is a server that verifies for an app, and tells it by what the client might say as well.
    in_front: bool = False
    # It accepts an assertion whose sub is empty.
    anonymous: bool = True
    # It allows for clocks that differ.
    leeway: bool = True
    # One of several audiences is enough.
    several_audiences: bool = True
    # It is told the issuer alone, a URL, and asks there for where the keyset is.
    discovers: bool = False


class App:
    """An app that can be made and started."""

    def __init__(self, language, name, **traits):
        self.language, self.name = language, name
        self.traits = Traits(**traits)
        self.host = self.issuer = f"{self.name}.example.com"

    def claims(self, **changed):
        """The claims of an assertion for it."""
        return keys.claims(self.host, **{"iss": self.issuer} | changed)

    def make(self):
        """Builds it below target/; raises Missing if a tool is not there."""

    def command(self):
        """What runs it."""
        raise NotImplementedError

    def environment(self):
        """What tells the program which library to take."""
        return {}

    def start(self, name, settings, directory):
        """Starts it as a service, and returns its URL."""
        environment = os.environ | self.environment() | {variable: str(value) for variable, value in settings.items()}
        return Program(name, self.command(), directory, environment).url()

    def keyset_changed(self):
        """What an operator has to do then; for most nothing."""


def need(program, install):
    if not shutil.which(program):
        raise Missing(f"{program}: {install}")


def answers(command, install):
    """Whether a program runs with what it needs."""
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Missing(install)


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


def fetch_once(lock, command, **options):
    """Fetches what a file names with its hashes, unless that was done."""
    done = lock.with_name(".fetched")
    if not done.is_file() or done.read_bytes() != lock.read_bytes():
        fetch(command, **options)
        # Last, so that what was interrupted is done again.
        shutil.copy(lock, done)


def fetch(command, **options):
    """Runs something that needs packages from the network."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode:
        raise Missing(f"its packages; `{' '.join(command)}` says: {first_line(done.stdout)}")


def first_line(output):
    """Without colours, and no longer than a line."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output).strip().partition("\n")[0][:120]


def run(command, **options):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(str(part) for part in command)}")
