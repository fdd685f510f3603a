// Node-RED behind the proxy: `tokens` is asked who somebody is, with the assertion of each request and each websocket.
const { JWKS_URL, AUDIENCE, ISSUER, KEYSET_PAUSE = '30', DATA, PORT } = process.env;
const verifier = import('./verify.mjs').then(({ Verifier }) => new Verifier({
  jwksUrl: JWKS_URL, audience: AUDIENCE, issuer: ISSUER, pause: Number(KEYSET_PAUSE),
}));

/** The group admins may change flows, everybody else may look. */
async function userOf(assertion) {
  try {
    const { sub, groups } = await (await verifier).verify([assertion]);
    return sub && { username: sub, permissions: groups.includes('admins') ? '*' : 'read' };
  } catch {
    return null;
  }
}

module.exports = {
  uiHost: '127.0.0.1',
  uiPort: Number(PORT),
  userDir: DATA,
  adminAuth: { type: 'credentials', users: [], tokenHeader: 'x-pomerium-jwt-assertion', tokens: userOf },
  // What flows serve themselves is no part of adminAuth.
  httpNodeMiddleware: async (request, response, next) =>
    (await userOf(request.headers['x-pomerium-jwt-assertion'])) ? next() : response.sendStatus(401),
};
