// An OpenID Connect provider for trying things out: oidc-provider, with its own pages for signing in, where every name
// is a user and every password is right. start.mjs forks it, is told its port, and tells it the app's URL.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const [port, clientSecret] = [Number(process.env.PORT), process.env.CLIENT_SECRET];
const server = createServer();
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }));

process.once('message', ({ app }) => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration(app)).callback());
  process.send({ ready: true });
});
process.once('disconnect', () => process.exit());

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
    claims: { openid: ['sub'], email: ['email'], profile: ['name'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(32).toString('hex')] },
    jwks: { keys: [signingKey()] },
    features: { devInteractions: { enabled: true } },
    ttl: { AccessToken: 3600, IdToken: 3600, Session: 3600, Grant: 3600, Interaction: 3600 },
  };
}

function claims(name) {
  const groups = name === 'zoe' ? ['engineering', 'admins'] : ['engineering'];
  return { sub: name, email: `${name}@example.com`, name: name[0].toUpperCase() + name.slice(1), groups };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomBytes(8).toString('hex') };
}
