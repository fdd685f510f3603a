// Verifies the assertion of a request, with passport-jwt and jwks-rsa: app.use(guard({ … })), then request.user has the claims.
import jwksRsa from 'jwks-rsa';
import passport from 'passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { seldom } from './keyset.mjs';

export function guard({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
  passport.use(new Strategy({
    secretOrKeyProvider: jwksRsa.passportJwtSecret({
      jwksUri: jwksUrl, cacheMaxAge: maxAge * 1000, fetcher: seldom(pause),
    }),
    // Two headers are joined by a comma, which no token has.
    jwtFromRequest: ExtractJwt.fromHeader('x-pomerium-jwt-assertion'),
    algorithms: ['ES256', 'RS256'],
    audience,
    issuer,
    jsonWebTokenOptions: { clockTolerance: 5 },
    // The last line: it asks for no exp by itself.
  }, (claims, done) => done(null, claims.exp ? claims : false)));
  return passport.authenticate('jwt', { session: false });
}
