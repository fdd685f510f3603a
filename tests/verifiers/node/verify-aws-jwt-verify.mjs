// Verifies the assertion of a request, with aws-jwt-verify.
import { JwtVerifier } from 'aws-jwt-verify';
import { SimpleJwksCache, SimplePenaltyBox } from 'aws-jwt-verify/jwk';

export const HEADER = 'x-pomerium-jwt-assertion';
const ALGORITHMS = ['ES256', 'RS256'];
const LEEWAY = 5; // seconds that the clocks may be apart

// Its own asks over https alone, and this one does for both.
const fetcher = {
  async fetch(url) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`the keyset: ${answer.status}`);
    return answer.arrayBuffer();
  },
};

/** Keeps the keyset for `maxAge` seconds. An unknown kid fetches it again, but not within `pause` seconds. */
export class Verifier {
  constructor({ jwksUrl, audience, issuer, maxAge = 300, pause = 30 }) {
    this.verifier = JwtVerifier.create({
      jwksUri: jwksUrl, audience, issuer, graceSeconds: LEEWAY,
      customJwtCheck({ header, payload }) {
        if (!ALGORITHMS.includes(header.alg)) throw new Error(`algorithm ${header.alg} is not allowed`);
        if (!payload.exp) throw new Error('the assertion has no exp'); // it asks for none by itself
      },
    }, { jwksCache: new SimpleJwksCache({ fetcher, penaltyBox: new SimplePenaltyBox({ waitSeconds: pause }) }) });
    // By itself it believes a key for ever.
    setInterval(() => this.verifier.hydrate().catch((error) => console.error(error)), maxAge * 1000).unref();
  }

  /** Resolves to the claims. `values` are all values of the header; anything wrong rejects. */
  async verify(values = []) {
    if (values.length !== 1) throw new Error(`${values.length} assertions in place of one`);
    return this.verifier.verify(values[0]);
  }
}
