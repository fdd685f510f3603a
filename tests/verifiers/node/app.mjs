// A service behind the proxy: it says who is calling, to those who bring a good assertion.
import { createServer } from 'node:http';

const { JWKS_URL, AUDIENCE, ISSUER, KEYSET_MAX_AGE = '300', KEYSET_PAUSE = '30', PORT = '0' } = process.env;
const settings = {
  jwksUrl: JWKS_URL, audience: AUDIENCE, issuer: ISSUER, maxAge: Number(KEYSET_MAX_AGE), pause: Number(KEYSET_PAUSE),
};
// Which library: verify.mjs has jose. A `guard` is middleware of Express.
const { guard, HEADER, Verifier } = await import(process.env.VERIFIER ?? './verify.mjs');
const server = createServer(guard ? await guarded() : verified(new Verifier(settings)));

function verified(verifier) {
  return async (request, response) => {
    try {
      const { sub, email } = await verifier.verify(request.headersDistinct[HEADER]);
      answer(response, 200, { sub, email });
    } catch (error) {
      answer(response, 401, { error: error.message });
    }
  };
}

async function guarded() {
  const { default: express } = await import('express');
  const app = express();
  app.use(guard(settings), ({ auth, user }, response) => {
    const { sub, email } = auth ?? user;
    answer(response, 200, { sub, email });
  });
  return app;
}

function answer(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

server.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
