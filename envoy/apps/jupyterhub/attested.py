"""A JupyterHub authenticator: users, groups and admins are what the assertion of each request says."""

import asyncio
import os

import jwt
from jupyterhub.auth import Authenticator
from verify import HEADER, Verifier

verifier = Verifier(os.environ["JWKS_URL"], os.environ["AUDIENCE"], os.environ["ISSUER"],
                    pause=float(os.environ.get("KEYSET_PAUSE", "30")))


async def claims_of(handler):
    """The claims of a request's good assertion, else an empty subject."""
    try:
        return await asyncio.to_thread(verifier.verify, handler.request.headers.get_list(HEADER))
    except jwt.PyJWTError:
        return {"sub": ""}


class AttestedAuthenticator(Authenticator):
    auto_login = True
    manage_groups = True
    allow_all = True
    # Less than no age: each request is looked at, whatever its cookies say.
    auth_refresh_age = -1

    async def authenticate(self, handler, data=None):
        claims = await claims_of(handler)
        if claims["sub"]:
            groups = claims["groups"]
            return {"name": self.normalize_username(claims["sub"]), "admin": "admins" in groups, "groups": groups}

    async def refresh_user(self, user, handler=None):
        # A notebook server that asks the hub has a token, and no browser.
        if handler is None or handler.get_auth_token():
            return True
        now = await self.authenticate(handler)
        return now if now and now["name"] == user.name else False
