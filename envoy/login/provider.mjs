// An OpenID Connect provider for trying things out: oidc-provider with the pages of pages.mjs, where every name is a user
// and every password is right. example.mjs forks it, is told its port, and tells it the app's URL.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { signInPage, signOutPage } from './pages.mjs';

const ADMINS = ['alice', 'zoe'];
const SCOPES = 'openid email profile groups';
const USER_NAME = /^[a-z0-9.-]{1,64}$/;

const [port, clientSecret] = [Number(process.env.PORT), process.env.CLIENT_SECRET];
const server = createServer();
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }));

process.once('message', ({ app }) => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration(app));
  const rest = provider.callback();
  server.on('request', (request, response) =>
    request.url.startsWith('/interaction/') ? signIn(provider, request, response) : rest(request, response));
  process.send({ ready: true });
});
process.once('disconnect', () => process.exit());

/** Asks who somebody is, and goes on with the answer. */
async function signIn(provider, request, response) {
  try {
    const { uid } = await provider.interactionDetails(request, response);
    const name = request.method === 'POST' ? new URLSearchParams(await bodyOf(request)).get('login') : null;
    if (USER_NAME.test(name ?? '')) {
      return await provider.interactionFinished(request, response, { login: { accountId: name } });
    }
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(signInPage(uid));
  } catch (error) {
    response.writeHead(400, { 'content-type': 'text/plain' }).end(`${error.message}\n`);
  }
}

async function bodyOf(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

function configuration(app) {
  return {
    clients: [{
      client_id: 'envoy',
      client_secret: clientSecret,
      redirect_uris: [`${app}/callback`],
      post_logout_redirect_uris: [`${app}/`],
    }],
    findAccount: (_, name) => ({ accountId: name, claims: () => claims(name) }),
    // Which claims a scope brings. They go into the ID token, as most providers have it.
    claims: { openid: ['sub'], email: ['email'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    jwks: { keys: [signingKey()] },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { logoutSource: (context, form) => { context.body = signOutPage(form); } },
    },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    loadExistingGrant: allowTheApp,
    ttl: { AccessToken: 3600, IdToken: 3600, Session: 3600, Grant: 3600, Interaction: 3600 },
  };
}

/** The company's own app may know who its people are: nobody is asked. */
async function allowTheApp({ oidc }) {
  const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
  grant.addOIDCScope(SCOPES);
  await grant.save();
  return grant;
}

function claims(name) {
  const groups = ADMINS.includes(name) ? ['engineering', 'admins'] : ['engineering'];
  return { sub: name, email: `${name}@example.com`, name: name[0].toUpperCase() + name.slice(1), preferred_username: name, groups };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomBytes(8).toString('hex') };
}
