"""A hub for trying things out: users are no users of the machine, and share it."""

import os
import sys

from attested import AttestedAuthenticator

here, data, port = os.path.dirname(os.path.abspath(__file__)), os.environ["DATA"], int(os.environ["PORT"])
c = get_config()  # noqa: F821
c.JupyterHub.authenticator_class = AttestedAuthenticator
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{os.environ['HUB_PORT']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['PROXY_PORT']}"
c.ConfigurableHTTPProxy.pid_file = f"{data}/proxy.pid"
c.JupyterHub.db_url = "sqlite://"  # in memory
c.JupyterHub.cookie_secret_file = f"{data}/cookie_secret"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{data}/{{username}}"
c.Spawner.cmd = [sys.executable, f"{here}/singleuser.py"]
c.Spawner.args = ["--allow-root"] if os.getuid() == 0 else []
c.Spawner.environment = {name: os.environ[name] for name in (
    "JWKS_URL", "AUDIENCE", "ISSUER", "KEYSET_PAUSE", "PYTHONPATH") if name in os.environ}
