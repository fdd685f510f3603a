// What docs/verify/node.md says that libraries do by themselves, without the code that is shown there.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { JwtVerifier } from 'aws-jwt-verify';
import express from 'express';
import { expressjwt } from 'express-jwt';
import buildGetJwks from 'get-jwks';
import jwt from 'jsonwebtoken';
import jwksRsa from 'jwks-rsa';

const keys = Object.fromEntries(['a', 'b', 'stranger'].map((kid) => [kid, generateKeyPairSync('ec', { namedCurve: 'P-256' })]));
const claims = { iss: 'app', aud: 'app', sub: 'zoe' };
const token = (kid, changed = {}) =>
  jwt.sign({ ...claims, ...changed }, keys[kid].privateKey, { algorithm: 'ES256', keyid: kid, noTimestamp: true });

/** Publishes the keys that `published` names, and counts how often it is asked. */
async function keyset(context, published) {
  const state = { published, asked: 0 };
  const jwk = (kid) => ({ ...keys[kid].publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' });
  state.json = () => ({ keys: state.published.map(jwk) });
  const server = createServer((request, response) => {
    state.asked += 1;
    response.end(JSON.stringify(state.json()));
  }).listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  context.after(() => server.close());
  state.url = `http://127.0.0.1:${server.address().port}/`;
  return state;
}

test('jsonwebtoken_without_exp_accepts', () => {
  assert.equal(jwt.verify(token('a'), keys.a.publicKey, { algorithms: ['ES256'], audience: 'app', issuer: 'app' }).sub, 'zoe');
});

test('aws_jwt_verify_without_exp_accepts', async () => {
  const verifier = JwtVerifier.create({ issuer: 'app', audience: 'app', jwksUri: 'https://app/' });
  verifier.cacheJwks({ keys: [{ ...keys.a.publicKey.export({ format: 'jwk' }), kid: 'a', alg: 'ES256', use: 'sig' }] });
  assert.equal((await verifier.verify(token('a'))).sub, 'zoe');
});

test('express_jwt_preflight_passes', async (context) => {
  const app = express();
  app.use(expressjwt({ secret: keys.a.publicKey, algorithms: ['ES256'] }), (request, response) => response.send('reached'));
  const server = app.listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  context.after(() => server.close());
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, {
    method: 'OPTIONS', headers: { 'access-control-request-headers': 'authorization' },
  });
  assert.equal(await answer.text(), 'reached');
});

test('jwks_rsa_without_limit_fetches_each_time', async (context) => {
  const published = await keyset(context, ['a']);
  const client = jwksRsa({ jwksUri: published.url });
  for (let invented = 0; invented < 5; invented++) await assert.rejects(client.getSigningKey(`invented-${invented}`));
  assert.equal(published.asked, 5);
});

test('jwks_rsa_with_limit_starves_a_new_key', async (context) => {
  const published = await keyset(context, ['a', 'b']);
  const client = jwksRsa({ jwksUri: published.url, rateLimit: true, jwksRequestsPerMinute: 5 });
  for (let invented = 0; invented < 5; invented++) await assert.rejects(client.getSigningKey(`invented-${invented}`));
  await assert.rejects(client.getSigningKey('b'), /Too many requests/);
});

test('get_jwks_believes_a_retired_key', async (context) => {
  const published = await keyset(context, ['a']);
  const getJwks = buildGetJwks({ jwksPath: '/', ttl: 100 });
  const asked = { domain: published.url, alg: 'ES256', kid: 'a' };
  await getJwks.getJwk(asked);
  published.published = ['b'];
  // For ten times as long as it keeps a key.
  for (let times = 0; times < 20; times++) {
    await new Promise((done) => setTimeout(done, 50));
    assert.equal((await getJwks.getJwk(asked)).kid, 'a');
  }
});
