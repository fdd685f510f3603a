// Verifies the assertion of a request, with jose.
import { createRemoteJWKSet, jwtVerify } from 'jose';

export const HEADER = 'x-pomerium-jwt-assertion';
const ALGORITHMS = ['ES256', 'RS256'];
const LEEWAY = 5; // seconds that the clocks may be apart

/** Keeps the keyset for `maxAge` seconds. An unknown kid fetches it again, but not within `pause` seconds. */
export class Verifier {
  constructor({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
    this.keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: maxAge * 1000, cooldownDuration: pause * 1000 });
    this.options = {
      algorithms: ALGORITHMS, audience, issuer, clockTolerance: LEEWAY,
      requiredClaims: ['aud', 'exp', 'iat', 'iss', 'sub'],
    };
  }

  /** Resolves to the claims. `values` are all values of the header; anything wrong rejects. */
  async verify(values = []) {
    if (values.length !== 1) throw new Error(`${values.length} assertions in place of one`);
    const { payload } = await jwtVerify(values[0], this.keys, this.options);
    return payload;
  }
}
