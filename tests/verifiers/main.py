"""Has apps in many languages verify what the filter signs, through a rotation, and refuse all that is wrong.

Usage: main.py [LANGUAGE or NAME…]

Each runs twice behind one Envoy with the filter. The first keeps a keyset for ten minutes: that it accepts a new key is
because an unknown kid makes it fetch the keyset again. The second keeps one for a second and never fetches for an unknown
kid: that it refuses a retired key is because it looks again. The sidecar knows only the second way.
"""

import os
import pathlib
import shutil
import sys
import tempfile
import time

import apps
import checks
import languages
from keys import Key
from processes import TARGET, end_all
from proxy import Proxy

MODULE = pathlib.Path(
    os.environ.get("ATTESTATION_FILTER_WASM") or TARGET / "wasm32-wasip1/release/attestation_filter.wasm").resolve()

SHORT = 1  # seconds
LONG = 600


class Verifier:
    """An app's two services."""

    def __init__(self, app, proxy, directory):
        self.app, self.proxy = app, proxy
        self.forgetful = self.start(directory, "forgetful", SHORT, app.traits.endless_pause)
        self.patient = self.start(directory, "patient", LONG, SHORT) if app.traits.fetches_again else self.forgetful
        proxy.send_to(app, self.patient)
        proxy.wait_for_upstream(app)

    def start(self, directory, kind, max_age, pause):
        name = f"{self.app.name}-{kind}"
        settings = {
            "AUDIENCE": self.app.host, "ISSUER": self.app.issuer, "KEYSET_MAX_AGE": max_age, "KEYSET_PAUSE": pause}
        if not self.app.traits.discovers:
            settings["JWKS_URL"] = self.proxy.keyset_url(name)
        return self.app.start(name, settings, directory)

    def check(self, step, key):
        """All checks, with the key that signs now."""
        app, traits = self.app, self.app.traits
        checks.through_the_proxy(self.proxy, app)
        checks.anonymous(self.proxy, app)
        for url in {self.patient, self.forgetful}:
            checks.refuses_what_is_wrong(url, app, key)
        checks.two_headers(self.patient, app, key)
        if traits.in_front:
            checks.believes_no_alias(self.patient, app, key)
        if traits.fetches_again:
            reader = None if traits.discovers else f"{app.name}-patient"
            checks.fetches_seldom(self.proxy, self.patient, app, reader, SHORT)
        print(f"  {app.name}: {step}", flush=True)


def main():
    made, missing = make(sys.argv[1:])
    for name, message in missing.items():
        print(f"  {name}: NOT TESTED, for this machine lacks {message}", flush=True)
    if not made or (missing and os.environ.get("REQUIRE_ALL") == "1"):
        sys.exit("not every verifier was tested" if made else "no verifier was tested")
    languages.check_traps(made)
    with tempfile.TemporaryDirectory(prefix="verifiers-") as name:
        directory = pathlib.Path(name)
        try:
            rotate(made, directory)
        except checks.Wrong as wrong:
            keep = TARGET / "verifiers/logs"
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(directory, keep, ignore=shutil.ignore_patterns("keys"))
            sys.exit(f"{wrong}\nthe logs are in {keep}")
        finally:
            end_all()


def make(wanted):
    made, missing = [], {}
    for app in languages.ALL:
        if wanted and not {app.name, app.language}.intersection(wanted):
            continue
        try:
            app.make()
            made.append(app)
        except apps.Missing as error:
            missing[app.name] = error
    return made, missing


def rotate(made, directory):
    """A P-256 key is replaced by an RSA key, in the three steps of `attest rotate`."""
    old, new = Key.p256(), Key.rsa()
    proxy = Proxy(MODULE, directory, made, old.pem())
    proxy.wait_until_published([old.kid])
    verifiers = [Verifier(app, proxy, directory) for app in made]
    for step, keys in [("before the rotation", [old]), ("staged", [old, new]), ("promoted", [new, old]),
                       ("retired", [new])]:
        proxy.replace_key_file("".join(key.pem() for key in keys))
        proxy.wait_until_published([key.kid for key in keys])
        for verifier in verifiers:
            verifier.app.keyset_changed()
            attempt(verifier, step, keys[0])
        # What `attest rotate --wait` waits for: until then, somebody may have a keyset from before this step.
        time.sleep(2 * SHORT)
    for verifier in verifiers:
        checks.forgets(verifier.forgetful, verifier.app, old)


def attempt(verifier, step, key):
    try:
        verifier.check(step, key)
    except checks.Wrong as wrong:
        raise checks.Wrong(f"{verifier.app.name}, {step}: {wrong}") from None


if __name__ == "__main__":
    main()
