"""Programs that run until the tests are over, and waiting for them."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path(__file__).parents[2] / "target").resolve()
# Starts Envoy for us: `make run-envoy` builds it.
RUN_ENVOY = pathlib.Path(os.environ.get("RUN_ENVOY") or TARGET / "debug/run-envoy").resolve()
DEADLINE = 30
RUNNING = []


class Program:
    """A process whose output goes to a file."""

    def __init__(self, name, command, directory, environment=None):
        self.name, self.log = name, directory / f"{name}.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment, start_new_session=True)
        RUNNING.append(self)

    def url(self):
        """The address that it says it listens on."""
        found = self.wait("to listen", lambda: re.search(r"listening on (http://\S+)", self.log.read_text()))
        return found.group(1)

    def wait(self, what, probe):
        def running():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended:\n{self.log.read_text()}")
            return probe()

        return eventually(f"{self.name} {what}", running)

    def end(self):
        """Ends it, and the workers that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def end_all():
    """Ends every program that was started."""
    while RUNNING:
        RUNNING.pop().end()


class Envoy:
    """An Envoy that serves, started by `run-envoy`, which ends it when its own standard input is closed."""

    def __init__(self, name, bootstrap, directory):
        config = directory / f"{name}.yaml"
        config.write_text(bootstrap)
        self.process = subprocess.Popen(
            [RUN_ENVOY, config, directory / f"{name}.log"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        RUNNING.append(self)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{name} did not start")
        self.listeners = json.loads(line)["listeners"]

    def listener(self, name):
        """The URL of one of its listeners."""
        return f"http://{self.listeners[name]}"

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Answer:
    """What came back, whatever its status."""

    def __init__(self, status, body):
        self.status, self.body = status, body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, headers=()):
    """Sends a GET over a connection of its own."""
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        with DIRECT.open(request, timeout=10) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as answer:
        return Answer(answer.code, answer.read())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what, probe):
    """Asks until there is an answer, and no longer than DEADLINE seconds."""
    started = time.monotonic()
    while True:
        if answer := probe():
            return answer
        if time.monotonic() - started > DEADLINE:
            raise SystemExit(f"timed out waiting for {what}")
        time.sleep(0.02)
