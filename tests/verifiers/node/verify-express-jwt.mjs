// Verifies the assertion of a request, with express-jwt and jwks-rsa: app.use(guard({ … })), then request.auth has the claims.
import { expressjwt, UnauthorizedError } from 'express-jwt';
import jwksRsa from 'jwks-rsa';
import { seldom } from './keyset.mjs';

export function guard({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
  return expressjwt({
    secret: jwksRsa.expressJwtSecret({
      jwksUri: jwksUrl, cacheMaxAge: maxAge * 1000, fetcher: seldom(pause),
      // Else the answer is 500 where the keyset cannot be fetched.
      handleSigningKeyError: (error, done) => done(new UnauthorizedError('invalid_token', error)),
    }),
    algorithms: ['ES256', 'RS256'],
    audience,
    issuer,
    clockTolerance: 5,
    // Two headers are joined by a comma, which no token has.
    getToken: (request) => request.get('x-pomerium-jwt-assertion'),
    // It asks for no exp by itself.
    isRevoked: (request, token) => !token.payload.exp,
  });
}
