"""A user's notebook server. It has cookies of its own, so it asks for the assertion as well: websockets, too."""

from attested import claims_of
from jupyterhub.singleuser import extension


class AttestedIdentityProvider(extension.JupyterHubIdentityProvider):
    async def get_user(self, handler):
        user = await super().get_user(handler)
        if user and user.name != (await claims_of(handler))["sub"].lower():
            user = handler._jupyterhub_user = None
        return user


# The extension sets it above all configuration.
extension.JupyterHubIdentityProvider = AttestedIdentityProvider
extension.main()
