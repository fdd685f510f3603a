"""What every verifier must accept, and what it must refuse."""

import http.client
import time

import jwt

from keys import Key, signed_with_public_key, unsigned
from processes import Answer, eventually, get

HEADER = "X-Pomerium-Jwt-Assertion"
REFUSED = (401, 403)
UNKNOWN_KIDS = 40
ZOE = {"sub": "zoe", "email": "zoe@example.com"}


class Wrong(Exception):
    """A verifier did what it must not do."""


def through_the_proxy(proxy, app):
    """A request as users send it: the filter signs, the app verifies."""
    answer = get(f"{proxy.url}/", {
        "Host": app.host, "X-Auth-User": ZOE["sub"], "X-Auth-Email": ZOE["email"], HEADER: "forged",
        "X-User": "mallory"})
    expect(answer, 200, "a request through the proxy")
    if answer.json() != ZOE:
        raise Wrong(f"a request through the proxy is {answer.body}, not {ZOE}")


def anonymous(proxy, app):
    """Nobody in particular is somebody whose assertion is good; the app decides what that is worth."""
    answer = get(f"{proxy.url}/", {"Host": app.host})
    expect(answer, 200 if app.traits.anonymous else 401, "an anonymous request through the proxy")
    if app.traits.anonymous and answer.json()["sub"]:
        raise Wrong(f"an anonymous request through the proxy is {answer.body}")


def accepts(url, what, token):
    expect(get(url, {HEADER: token}), 200, what)


def refuses(url, what, token):
    headers = {} if token is None else {HEADER: token, "X-User": "mallory"}
    answer = get(url, headers)
    if answer.status not in REFUSED:
        raise Wrong(f"{what}: {answer.status} {answer.body}")


def refuses_what_is_wrong(url, app, key):
    """Each of these differs in one thing from an assertion that is accepted."""
    good = app.claims()
    accepts(url, "a good assertion", key.sign(good))
    borderline = [
        ("one of several audiences", app.traits.several_audiences, {"aud": ["other.example.com", app.host]}),
        ("expired, within the leeway", app.traits.leeway, {"exp": int(time.time()) - 1})]
    for what, accepted, changed in borderline:
        (accepts if accepted else refuses)(url, what, key.sign(good | changed))
    for what, token in wrong_tokens(app, good, key).items():
        refuses(url, what, token)


def wrong_tokens(app, good, key):
    stranger = Key.p256() if key.algorithm == "ES256" else Key.rsa()
    head, payload, signature = key.sign(good).split(".")
    other_payload = key.sign(good | {"sub": "mallory"}).split(".")[1]
    return {
        "no header": None,
        "an empty header": "",
        "no token": "forged",
        "another audience": key.sign(app.claims(aud="other.example.com")),
        "no audience": key.sign(app.claims(aud=None)),
        "another issuer": key.sign(app.claims(iss="https://other.example.com")),
        "expired": key.sign(app.claims(exp=int(time.time()) - 60)),
        "no expiry": key.sign(app.claims(exp=None)),
        "signed by a stranger": stranger.sign(good, kid=key.kid),
        "another payload": f"{head}.{other_payload}.{signature}",
        "no signature": f"{head}.{payload}.",
        "alg none": unsigned(good, key.kid),
        "HS256 with the public key": signed_with_public_key(good, key, key.public_pem()),
        "ES384": jwt.encode(good, Key.p384().private, "ES384", headers={"kid": key.kid}),
        "an unknown kid": stranger.sign(good),
    }


def two_headers(url, app, key):
    """Which of two would count? Only one of them need be good."""
    token = key.sign(app.claims())
    for values in ([token, "forged"], ["forged", token], [token, token]):
        answer = get_with_all(url, HEADER, values)
        if answer.status not in REFUSED:
            raise Wrong(f"two headers: {answer.status} {answer.body}")


def believes_no_alias(url, app, key):
    """An app behind a server reads headers by their names, and some servers read several names as one."""
    token = key.sign(app.claims())
    for alias in ("X_User", "x_email", "X-User", "x.user", "x~email", "X*User"):
        answer = get(url, {HEADER: token, alias: "admin"})
        if answer.status != 400:
            expect(answer, 200, alias)
            if answer.json() != ZOE:
                raise Wrong(f"{alias}: {answer.body}")


def fetches_seldom(proxy, url, app, reader, pause):
    """Anybody can invent a kid; that must not make the app ask for the keyset each time."""
    before, started = proxy.fetches(reader), time.monotonic()
    for _ in range(UNKNOWN_KIDS):
        refuses(url, "an unknown kid", Key.p256().sign(app.claims()))
    fetched, allowed = proxy.fetches(reader) - before, (time.monotonic() - started) / pause + 2
    if (fetched <= allowed) != app.traits.pauses:
        raise Wrong(f"{UNKNOWN_KIDS} unknown kids made it fetch the keyset {fetched} times")


def forgets(url, app, key):
    """A key that is not published any more is not believed for longer than a keyset is kept."""
    def refused():
        return get(url, {HEADER: key.sign(app.claims())}).status in REFUSED

    eventually(f"{app.name} to forget a retired key", refused)


def get_with_all(url, name, values):
    """Sends a GET that has a header more than once."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.putrequest("GET", "/")
    for value in values:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return Answer(answer.status, body)


def expect(answer, status, what):
    if answer.status != status:
        raise Wrong(f"{what}: {answer.status} {answer.body}")
