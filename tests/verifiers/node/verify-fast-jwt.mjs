// Verifies the assertion of a request, with fast-jwt and jwks-rsa.
import { createVerifier } from 'fast-jwt';
import jwksRsa from 'jwks-rsa';
import { seldom } from './keyset.mjs';

export const HEADER = 'x-pomerium-jwt-assertion';
const ALGORITHMS = ['ES256', 'RS256'];
const LEEWAY = 5000; // milliseconds that the clocks may be apart

/** Keeps a key for `maxAge` seconds. An unknown kid fetches the keyset again, but not within `pause` seconds. */
export class Verifier {
  constructor({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
    const keys = jwksRsa({ jwksUri: jwksUrl, cacheMaxAge: maxAge * 1000, fetcher: seldom(pause) });
    this.verifyOne = createVerifier({
      key: async ({ header }) => (await keys.getSigningKey(header.kid)).getPublicKey(),
      algorithms: ALGORITHMS, allowedAud: audience, allowedIss: issuer, clockTolerance: LEEWAY,
      requiredClaims: ['aud', 'exp', 'iat', 'iss', 'sub'],
    });
  }

  /** Resolves to the claims. `values` are all values of the header; anything wrong rejects. */
  async verify(values = []) {
    if (values.length !== 1) throw new Error(`${values.length} assertions in place of one`);
    return this.verifyOne(values[0]);
  }
}
