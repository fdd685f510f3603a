"""Verifies the assertion of a request, with joserfc."""

from joserfc import errors, jwk, jws, jwt
from keyset import Keyset

HEADER = "X-Pomerium-Jwt-Assertion"
ALGORITHMS = ["ES256", "RS256"]
LEEWAY = 5  # seconds that the clocks may be apart
ERRORS = (errors.JoseError, ValueError)  # what is raised if anything is wrong


class Verifier:
    def __init__(self, jwks_url, audience, issuer, max_age=300, pause=30):
        self.keyset = Keyset(jwks_url, max_age, pause)
        self.rules = jwt.JWTClaimsRegistry(
            leeway=LEEWAY, aud={"essential": True, "value": audience}, iss={"essential": True, "value": issuer},
            exp={"essential": True}, sub={"essential": True, "allow_blank": True})

    def verify(self, values):
        """Returns the claims. `values` are all values of the header."""
        if len(values) != 1:
            raise ValueError(f"{len(values)} assertions in place of one")
        kid = jws.extract_compact(values[0].encode()).headers().get("kid")
        key = self.keyset.find(kid)
        if not key:
            raise ValueError("no key has this kid")
        claims = jwt.decode(values[0], jwk.import_key(key), algorithms=ALGORITHMS).claims
        self.rules.validate(claims)
        return claims
