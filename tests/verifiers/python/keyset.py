"""The keyset of a proxy, for libraries that do not fetch one."""

import json
import threading
import time
import urllib.request


class Keyset:
    """Is kept for `max_age` seconds. An unknown kid fetches it again, but not within `pause` seconds."""

    def __init__(self, url, max_age=300, pause=30):
        self.url, self.max_age, self.pause = url, max_age, pause
        self.keys, self.fetched, self.lock = {}, float("-inf"), threading.Lock()

    def find(self, kid):
        """The JWK that has this kid, or None."""
        with self.lock:
            age = time.monotonic() - self.fetched
            if age >= self.max_age or (kid not in self.keys and age >= self.pause):
                with urllib.request.urlopen(self.url, timeout=5) as answer:
                    self.keys = {key["kid"]: key for key in json.load(answer)["keys"]}
                self.fetched = time.monotonic()
            return self.keys.get(kid)
