// Verifies the assertion of a request, with jsonwebtoken and jwks-rsa.
import jwt from 'jsonwebtoken';
import jwksRsa from 'jwks-rsa';
import { seldom } from './keyset.mjs';

export const HEADER = 'x-pomerium-jwt-assertion';
const ALGORITHMS = ['ES256', 'RS256'];
const LEEWAY = 5; // seconds that the clocks may be apart

/** Keeps a key for `maxAge` seconds. An unknown kid fetches the keyset again, but not within `pause` seconds. */
export class Verifier {
  constructor({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
    this.keys = jwksRsa({ jwksUri: jwksUrl, cacheMaxAge: maxAge * 1000, fetcher: seldom(pause) });
    this.options = { algorithms: ALGORITHMS, audience, issuer, clockTolerance: LEEWAY };
  }

  /** Resolves to the claims. `values` are all values of the header; anything wrong rejects. */
  async verify(values = []) {
    if (values.length !== 1) throw new Error(`${values.length} assertions in place of one`);
    const key = await this.keys.getSigningKey(jwt.decode(values[0], { complete: true })?.header.kid);
    const claims = jwt.verify(values[0], key.getPublicKey(), this.options);
    if (!claims.exp) throw new Error('the assertion has no exp'); // jsonwebtoken asks for none
    return claims;
  }
}
