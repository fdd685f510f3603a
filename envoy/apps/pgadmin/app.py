"""pgAdmin behind the proxy. A user's role comes from the assertion of each request: the group admins are administrators."""

import os
import secrets

# pgAdmin wants a first account. Nobody signs in with it: there are no passwords.
os.environ.update(PGADMIN_SETUP_EMAIL="nobody@example.com", PGADMIN_SETUP_PASSWORD=secrets.token_urlsafe())

from attested import Attested
from flask import request
from pgadmin4.pgAdmin4 import app
from sqlalchemy.orm.attributes import set_committed_value
from verify import Verifier

# pgAdmin has put its own folder into the path.
from pgadmin import socketio
from pgadmin.model import Role

user_of = app.login_manager._user_callback


@app.login_manager.user_loader
def user_with_role(user_id):
    """The role in pgAdmin's own table is not asked, and stays as it is."""
    if user := user_of(user_id):
        is_admin = "admins" in request.environ["attestation.claims"]["groups"]
        role = Role.query.filter_by(name="Administrator" if is_admin else "User").one()
        set_committed_value(user, "roles", [role])
    return user


verifier = Verifier(os.environ["JWKS_URL"], os.environ["AUDIENCE"], os.environ["ISSUER"],
                    pause=float(os.environ.get("KEYSET_PAUSE", "30")))
app.wsgi_app = Attested(app.wsgi_app, verifier, secrets.token_bytes(), sessions=["pga4_session", "remember_token"])
socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
