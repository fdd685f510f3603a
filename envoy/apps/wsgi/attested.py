"""A WSGI middleware: REMOTE_USER is whom the assertion names, and a session belongs to the user who began it."""

import hashlib
import hmac

import jwt


class Attested:
    """Lets nobody pass without a good assertion of a user.

    The cookies of `sessions` go to the browser with a mark of the user in front, made with `secret`. What comes back with
    another user's mark, or none, does not reach the app: a change of user ends the session.
    """

    def __init__(self, app, verifier, secret, sessions):
        self.app, self.verifier, self.secret, self.sessions = app, verifier, secret, sessions

    def __call__(self, environ, start_response):
        environ.pop("REMOTE_USER", None)
        # Several headers arrive as one with commas, which is no assertion.
        assertion = environ.get("HTTP_X_POMERIUM_JWT_ASSERTION")
        try:
            claims = self.verifier.verify([assertion] if assertion else [])
        except jwt.PyJWTError:
            claims = {"sub": ""}
        if not (user := claims["sub"]):
            start_response("401 Unauthorized", [("Content-Type", "text/plain")])
            return [b"no good assertion\n"]
        environ["REMOTE_USER"], environ["attestation.claims"] = user, claims
        environ["HTTP_COOKIE"] = "; ".join(self.of_user(environ.get("HTTP_COOKIE", ""), user))

        def start(status, headers, exc_info=None):
            return start_response(status, [self.marked(*header, user) for header in headers], exc_info)

        return self.app(environ, start)

    def of_user(self, cookies, user):
        for cookie in filter(None, map(str.strip, cookies.split(";"))):
            name, _, value = cookie.partition("=")
            if name in self.sessions:
                mark, _, value = value.partition(".")
                if hmac.compare_digest(mark.encode(), self.mark(name, value, user).encode()):
                    yield f"{name}={value}"
            # Some parsers find a cookie after a space, or with one behind its name.
            elif not any(session in cookie for session in self.sessions):
                yield cookie

    def marked(self, header, text, user):
        name, _, rest = text.strip().partition("=")
        if header.lower() != "set-cookie" or name not in self.sessions:
            return header, text
        value, end, attributes = rest.partition(";")
        return header, f"{name}={self.mark(name, value, user)}.{value}{end}{attributes}"

    def mark(self, name, value, user):
        return hmac.digest(self.secret, repr((name, value, user)).encode(), hashlib.sha256).hex()
