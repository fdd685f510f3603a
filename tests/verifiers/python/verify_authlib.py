"""Verifies the assertion of a request, with Authlib."""

from authlib.jose import JsonWebKey, JsonWebToken
from authlib.jose.errors import JoseError
from keyset import Keyset

HEADER = "X-Pomerium-Jwt-Assertion"
LEEWAY = 5  # seconds that the clocks may be apart
ERRORS = (JoseError, ValueError)  # what is raised if anything is wrong


class Verifier:
    def __init__(self, jwks_url, audience, issuer, max_age=300, pause=30):
        self.keyset = Keyset(jwks_url, max_age, pause)
        self.jwt = JsonWebToken(["ES256", "RS256"])
        self.rules = {
            "aud": {"essential": True, "value": audience}, "iss": {"essential": True, "value": issuer},
            "exp": {"essential": True}}

    def verify(self, values):
        """Returns the claims. `values` are all values of the header."""
        if len(values) != 1:
            raise ValueError(f"{len(values)} assertions in place of one")
        claims = self.jwt.decode(values[0], self.key, claims_options=self.rules)
        claims.validate(leeway=LEEWAY)
        return claims

    def key(self, header, _payload):
        key = self.keyset.find(header.get("kid"))
        if not key:
            raise ValueError("no key has this kid")
        return JsonWebKey.import_key(key)
