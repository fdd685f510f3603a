"""Measures for how long libraries that verify go on with a keyset that they have, although a token names a key that is not in it.

Usage: measure.py [NAME...]; the packages of requirements.txt must be there. For each library: a fresh verifier verifies a token of
the old key, the new key is published, the clock is moved on, and a token of the new key comes. The keyset says max-age=60, as the
filter's does by default. The clock that the libraries see is moved before they are imported.
"""

import asyncio
import sys
import time

offset = 0.0
real_time, real_monotonic = time.time, time.monotonic
time.time = lambda: real_time() + offset
time.monotonic = lambda: real_monotonic() + offset

from server import Keyset  # noqa: E402

STEPS = [0, 5, 10, 20, 29, 31, 45, 59, 61, 120, 299, 301, 311, 599, 601, 621, 1801, 3599, 3601, 86399, 86401, 7 * 86400]
VERIFIERS = {}


def verifier(function):
    VERIFIERS[function.__name__] = function
    return function


@verifier
def pyjwt(keyset):
    import jwt

    client = jwt.PyJWKClient(keyset.url)
    return lambda token: jwt.decode(token, client.get_signing_key_from_jwt(token).key, ["ES256"], audience="app")


@verifier
def cryptojwt(keyset):
    from cryptojwt.jws.jws import factory
    from cryptojwt.key_bundle import KeyBundle

    bundle = KeyBundle(source=keyset.url, fileformat="jwks")
    return lambda token: factory(token).verify_compact(token, keys=bundle.keys())


@verifier
def pyjwt_key_fetcher(keyset):
    import jwt
    import pyjwt_key_fetcher

    async def make():
        return pyjwt_key_fetcher.AsyncKeyFetcher(valid_issuers=[keyset.issuer])

    loop = asyncio.new_event_loop()
    fetcher = loop.run_until_complete(make())
    return lambda token: jwt.decode(token, audience="app", **loop.run_until_complete(fetcher.get_key(token)))


@verifier
def fastapi_jwks(keyset):
    import pydantic
    from fastapi_jwks.models.types import JWKSConfig, JWTDecodeConfig
    from fastapi_jwks.validators import JWKSValidator

    class Claims(pydantic.BaseModel):
        sub: str

    validator = JWKSValidator[Claims](JWTDecodeConfig(audience=["app"]), JWKSConfig(url=keyset.url))
    return validator.validate_token


@verifier
def drf_oidc_auth(keyset):
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(SECRET_KEY="x", INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
        django.setup()
    from django.core.cache import cache
    from oidc_auth.authentication import JSONWebTokenAuthentication
    from oidc_auth.settings import api_settings

    # The cache is the process's: a fresh verifier begins with an empty one.
    cache.clear()
    api_settings.OIDC_ENDPOINT = keyset.issuer
    # Each request has an instance of its own.
    return lambda token: JSONWebTokenAuthentication().decode_jwt(token.encode())


def follows(make, seconds):
    global offset
    offset += 40 * 86400
    keyset = Keyset()
    verify = make(keyset)
    verify(keyset.token("a"))
    keyset.published = "ab"
    offset += seconds
    try:
        verify(keyset.token("b"))
        return True
    except Exception:  # noqa: BLE001 whatever a library says of an unknown key
        return False
    finally:
        keyset.server.shutdown()


def main():
    for name in sys.argv[1:] or VERIFIERS:
        too_early = None
        for seconds in STEPS:
            if follows(VERIFIERS[name], seconds):
                print(f"{name}: follows {seconds} s after it fetched the keyset; not after {too_early} s", flush=True)
                break
            too_early = seconds
        else:
            print(f"{name}: does not follow within {STEPS[-1]} s", flush=True)


if __name__ == "__main__":
    main()
