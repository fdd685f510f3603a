"""Signing keys, and tokens that the filter would never make."""

import base64
import hashlib
import hmac
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUED, EXPIRES = -100, 200  # seconds from now


class Key:
    """A signing key as an operator has it: a private key in PEM."""

    def __init__(self, private, algorithm):
        self.private, self.algorithm = private, algorithm
        self.kid = kid(private.public_key())

    @classmethod
    def p256(cls):
        return cls(ec.generate_private_key(ec.SECP256R1()), "ES256")

    @classmethod
    def p384(cls):
        return cls(ec.generate_private_key(ec.SECP384R1()), "ES384")

    @classmethod
    def rsa(cls):
        return cls(rsa.generate_private_key(65537, 2048), "RS256")

    def pem(self):
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    def public_pem(self):
        return in_pem(self.private.public_key())

    def sign(self, claims, **header):
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid} | header)


def public_pem(jwk):
    """A key of a keyset, as openssl has it."""
    return in_pem(jwt.PyJWK(jwk).key)


def in_pem(public):
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def kid(public):
    """As the filter names keys: the thumbprint (RFC 7638) in hexadecimal."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(public))
    else:
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    members = {name: jwk[name] for name in sorted(jwk) if name in ("crv", "e", "kty", "n", "x", "y")}
    return hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).hexdigest()


def claims(audience, **changed):
    """Claims as the filter would sign them; one that is changed to None is left out."""
    now = int(time.time())
    good = {"aud": audience, "iss": audience, "iat": now + ISSUED, "exp": now + EXPIRES, "jti": "1", "sub": "zoe", "user": "zoe",
            "email": "zoe@example.com", "groups": [], "sid": "", "name": ""}
    return {name: value for name, value in (good | changed).items() if value is not None}


def unsigned(claims, kid):
    """What RFC 7519 calls an unsecured JWT."""
    return f"{segment({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{segment(claims)}."


def signed_with_public_key(claims, key, secret):
    """HS256 with what everybody knows as the secret: good for a verifier that lets the token choose the algorithm."""
    text = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{segment(claims)}"
    return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def segment(value):
    return encode(json.dumps(value).encode())


def encode(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
