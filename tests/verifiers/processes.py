"""Programs that run until the tests are over, and waiting for them."""

import json
import re
import subprocess
import time
import urllib.error
import urllib.request

DEADLINE = 30
RUNNING = []


class Program:
    """A process whose output goes to a file."""

    def __init__(self, name, command, directory, environment=None):
        self.name, self.log = name, directory / f"{name}.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment)
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


def end_all():
    """Ends every program that was started."""
    while RUNNING:
        program = RUNNING.pop()
        program.process.kill()
        program.process.wait()


class Envoy(Program):
    """An Envoy that writes its admin address to a file."""

    def __init__(self, name, binary, bootstrap, directory):
        self.admin_address, config = directory / f"{name}.admin", directory / f"{name}.yaml"
        config.write_text(bootstrap)
        super().__init__(name, [
            binary, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning",
            "--file-flush-interval-msec", "20", "--admin-address-path", self.admin_address, "-c", config], directory)

    def listener(self, name):
        """The URL of one of its listeners, once it serves."""
        return self.wait("to serve", lambda: self.ready_listener(name))

    def ready_listener(self, name):
        try:
            admin = f"http://{self.admin_address.read_text()}"
            if get(f"{admin}/ready").status != 200:
                return None
            statuses = json.loads(get(f"{admin}/listeners?format=json").body)["listener_statuses"]
        except (OSError, ValueError, KeyError):
            return None  # It has not written its address yet, or has no listener yet.
        [address] = [status["local_address"]["socket_address"] for status in statuses if status["name"] == name]
        return f"http://127.0.0.1:{address['port_value']}"


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


def eventually(what, probe):
    """Asks until there is an answer, and no longer than DEADLINE seconds."""
    started = time.monotonic()
    while True:
        if answer := probe():
            return answer
        if time.monotonic() - started > DEADLINE:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.02)
