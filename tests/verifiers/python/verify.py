"""Verifies the assertion of a request, with PyJWT."""

import jwt

HEADER = "X-Pomerium-Jwt-Assertion"
ALGORITHMS = ["ES256", "RS256"]
LEEWAY = 5  # seconds that the clocks may be apart
ERRORS = jwt.PyJWTError  # what is raised if anything is wrong


class Verifier:
    """Keeps the keyset for `max_age` seconds. An unknown kid fetches it again, but not within `pause` seconds."""

    def __init__(self, jwks_url, audience, issuer, max_age=300, pause=30):
        self.keys = jwt.PyJWKClient(jwks_url, lifespan=max_age, cooldown_duration=pause, timeout=5)
        self.audience, self.issuer = audience, issuer

    def verify(self, values):
        """Returns the claims. `values` are all values of the header; anything wrong raises ERRORS."""
        if len(values) != 1:
            raise jwt.InvalidTokenError(f"{len(values)} assertions in place of one")
        key = self.keys.get_signing_key_from_jwt(values[0])
        return jwt.decode(
            values[0], key, algorithms=ALGORITHMS, audience=self.audience, issuer=self.issuer, leeway=LEEWAY,
            options={"require": ["aud", "exp", "iat", "iss", "sub"]})
