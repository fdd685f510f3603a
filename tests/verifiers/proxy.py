"""The Envoy with the filter, in front of the verifiers."""

import json
import os
import pathlib

from processes import Envoy, eventually, free_port, get

JWKS_PATH = "/.well-known/pomerium/jwks.json"
TYPES = "type.googleapis.com/envoy"
BOOTSTRAP = pathlib.Path(__file__).with_name("proxy.yaml")


class Proxy:
    """One host and one cluster for each app; where they are is told later, by a file for each."""

    def __init__(self, module, directory, apps, key_file_text):
        # An issuer that is a URL is known before Envoy listens there.
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        for app in apps:
            app.issuer = self.url if app.traits.discovers else app.host
        self.directory, self.keys = directory, directory / "keys"
        self.access_log = directory / "access.log"
        self.keys.mkdir()
        self.replace_key_file(key_file_text)
        text = BOOTSTRAP.read_text()
        for slot, value in {
            "access_log": str(self.access_log), "module": str(module), "key_file": str(self.keys / "signing-key.pem"),
            "key_directory": str(self.keys), "port": port, "issuer": self.url,
            "virtual_hosts": [virtual_host(app) for app in apps],
            "clusters": [signing_key_cluster(), *[cluster(app.name, self.endpoints_file(app.name)) for app in apps]],
        }.items():
            text = text.replace("{{" + slot + "}}", json.dumps(value))
        for app in apps:
            self.send_to(app, None)
        self.envoy = Envoy("proxy", text, directory)

    def endpoints_file(self, name):
        return self.directory / f"{name}.endpoints.json"

    def send_to(self, app, url):
        """Sends the requests for a host to this URL's address."""
        endpoints = []
        if url:
            host, port = url.removeprefix("http://").split(":")
            endpoints = [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": host, "port_value": int(port)}}}}]}]
        replace(self.endpoints_file(app.name), json.dumps({"resources": [{
            "@type": f"{TYPES}.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": app.name,
            "endpoints": endpoints}]}))

    def wait_for_upstream(self, app):
        """Waits until the requests for a host arrive where they were last sent."""
        eventually(f"Envoy to reach {app.name}", lambda: get(self.url, {"Host": app.host}).status != 503)

    def replace_key_file(self, text):
        replace(self.keys / "signing-key.pem", text)

    def wait_until_published(self, kids):
        """Waits for the keyset to hold just these keys, in this order. The first of them signs from then on."""
        def published():
            answer = get(self.url + JWKS_PATH)
            return answer.status == 200 and [key["kid"] for key in answer.json()["keys"]] == kids

        eventually(f"the keyset to hold {kids}", published)

    def keyset_url(self, reader):
        """The keyset's URL, for a reader whose fetches are counted."""
        return f"{self.url}{JWKS_PATH}?reader={reader}"

    def fetches(self, reader):
        """How often that reader has fetched the keyset; without a name, those that find its URL by the issuer."""
        marker = f"/marker/{os.urandom(8).hex()}"
        get(self.url + marker)
        lines = eventually("the access log", lambda: marker in (text := self.access_log.read_text()) and text)
        return lines.split("\n").count(f"{JWKS_PATH}?reader={reader}" if reader else JWKS_PATH)


def virtual_host(app):
    return {"name": app.name, "domains": [app.host], "routes": [{
        "match": {"prefix": "/"}, "route": {"cluster": app.name},
        "metadata": {"filter_metadata": {"attestation": {"issuer": app.issuer}}}}]}


def cluster(name, endpoints):
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {
        "eds_config": {"path_config_source": {"path": str(endpoints)}, "resource_api_version": "V3"}}}


def signing_key_cluster():
    return {"name": "signing_key", "connect_timeout": "1s", "load_assignment": {
        "cluster_name": "signing_key", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "envoy_internal_address": {"server_listener_name": "signing_key"}}}}]}]}}


def replace(path, text):
    """Replaces a file whole, by a rename."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)
