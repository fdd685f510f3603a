// A service behind the proxy: it says who is calling, to those who bring a good assertion.
import { createServer } from 'node:http';
import { HEADER, Verifier } from './verify.mjs';

const { JWKS_URL, AUDIENCE, ISSUER, KEYSET_MAX_AGE = '300', KEYSET_PAUSE = '30', PORT = '0' } = process.env;
const verifier = new Verifier({
  jwksUrl: JWKS_URL, audience: AUDIENCE, issuer: ISSUER, maxAge: Number(KEYSET_MAX_AGE), pause: Number(KEYSET_PAUSE),
});

const server = createServer(async (request, response) => {
  try {
    const { sub, email } = await verifier.verify(request.headersDistinct[HEADER]);
    answer(response, 200, { sub, email });
  } catch (error) {
    answer(response, 401, { error: error.message });
  }
});

function answer(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
