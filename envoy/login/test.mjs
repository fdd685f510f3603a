// `make test-login`: people log in with a browser. With SCREENSHOTS=directory it keeps what they saw.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { findChromium } from './chromium.mjs';
import { Example } from './example.mjs';

const ASSERTION = 'x-pomerium-jwt-assertion';
const { SCREENSHOTS, CHROMIUM = findChromium() } = process.env;

const example = new Example();
process.once('exit', () => example.close());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
await example.start();
// Chromium's sandbox does not work for root; every page here is our own.
const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: process.getuid() ? [] : ['--no-sandbox'] });

try {
  await withoutASession();
  await twoPeople();
  await theAppsOwnCookies();
  await aNewlineInTheSecret();
} catch (error) {
  for (const name of ['envoy', 'provider', 'upstream']) console.error(`--- ${name}\n${example.log(name)}`);
  throw error;
} finally {
  await browser.close();
}
process.exit();

async function withoutASession() {
  const none = { 'login-hmac': 'x', 'login-expires': '9999999999', 'login-token': 'x', 'login-id': unsigned() };
  const forged = { [ASSERTION]: 'forged', 'X_Pomerium_Jwt_Assertion': 'forged' };
  for (const [what, headers] of Object.entries({
    'no session': {}, 'a forged assertion': forged, 'forged cookies': { ...forged, cookie: cookies(none) },
    'a bearer token': { authorization: `Bearer ${unsigned()}` }, 'an ID token': { 'x-id-token': unsigned() },
  })) {
    for (const path of ['/', '/.well-known/pomerium/other', '/healthz/', '//other', '/x/../.well-known/pomeriumx']) {
      const answer = await get(path, headers);
      assert.equal(answer.status, 302, `${what}, ${path}`);
      assert.match(answer.headers.location, new RegExp(`^${example.provider}/auth\\?`), `${what}, ${path}`);
    }
  }
  assert.equal((await get('/', { accept: 'application/json' })).status, 401, 'a script is not redirected');
  for (const path of ['/healthz%2f..%2fadmin', '/.well-known/pomerium%2f..%2fadmin']) {
    assert.equal((await get(path)).status, 400, `${path}: a slash in disguise is refused`);
  }
  assert.equal((await get('/healthz', forged)).status, 200);
  assert.equal((await get('//healthz', forged)).status, 200, 'the same path');
  assert.equal((await get('/.well-known/pomerium/jwks.json')).json().keys.length, 1, 'the keyset needs no login');
  assert.equal((await get('/.well-known/pomerium')).status, 200);
  assert.equal(visits().length, 0, 'nobody has reached the app');
  done('without a session: sent to the provider, nothing forged reaches the app; the keyset needs no login');
}

async function twoPeople() {
  const [zoe, ann] = [await person(), await person()];
  await logIn(zoe, 'zoe', '/some/page?x=1');
  assert.equal(zoe.url(), `${example.app}/some/page?x=1`, 'back where she wanted to go');
  await logIn(ann, 'ann', '/');
  for (const [page, email, groups] of [[zoe, 'zoe@example.com', ['engineering', 'admins']],
    [ann, 'ann@example.com', ['engineering']]]) {
    const received = await json(page);
    assert.equal(received.verified, true);
    assert.deepEqual([received.claims.email, received.claims.groups], [email, groups]);
    assert.deepEqual([received.claims.aud, received.claims.iss], ['localhost', 'localhost']);
  }
  done('two people log in, and the app sees each, verified');

  const session = await sessionOf(zoe);
  const received = (await get('/', { cookie: session, [ASSERTION]: 'forged' })).json();
  const headers = received.request.headers.map(({ name }) => name);
  assert.equal(headers.filter((name) => name === ASSERTION).length, 1);
  assert.equal(received.claims.sub, 'zoe', 'a forged assertion is replaced');
  assert.ok(!headers.includes('cookie'), "the session's cookies do not reach the app");
  for (const name of ['x-id-token', 'X_Id_Token']) {
    const idToken = (await get('/', { cookie: session, [name]: unsigned() })).json();
    assert.equal(idToken.claims.sub, 'zoe', "a client's own ID token is not looked at");
    assert.ok(!idToken.request.headers.some(({ name }) => /^x.id.token$/.test(name)), 'and reaches no app, as hers does not');
  }
  done('with a session: a forged assertion is replaced, and the cookies of the session stay with Envoy');

  await zoe.goto(`${example.app}/sign-out`);
  assert.ok(zoe.url().startsWith(`${example.provider}/session/end`), `asked at the provider, not at ${zoe.url()}`);
  await screenshot(zoe, 'zoe-sign-out', 370);
  await click(zoe, 'button[value=yes]');
  const before = visits().length;
  await zoe.goto(`${example.app}/`);
  assert.ok(zoe.url().startsWith(`${example.provider}/interaction/`), `asked to log in again, at ${zoe.url()}`);
  assert.equal(visits().length, before, 'she does not reach the app');
  assert.equal((await json(ann)).claims.sub, 'ann', 'ann is still there');
  await logIn(zoe, 'mia', '/');
  assert.equal((await json(zoe)).claims.email, 'mia@example.com');
  done('logging out ends the session, at the provider too; somebody else can log in there');
}

/** What an app sees of cookies, where it sees their values. */
async function theAppsOwnCookies() {
  const app = createServer((request, response) => response.end(JSON.stringify(request.headers)));
  await once(app.listen(0, '127.0.0.1'), 'listening');
  const other = new Example();
  process.once('exit', () => other.close());
  await other.start({ app: { port: app.address().port, start() {} } });
  const page = await person();
  await page.goto(`${other.app}/`);
  await page.type('input[name=login]', 'zoe');
  await page.type('input[name=password]', 'any');
  await click(page, 'button[type=submit]');
  const session = await sessionOf(page);
  // oauth2 writes the header anew, in an order of its own.
  for (const [sent, received] of [
    [session, []], [`theme=dark; ${session}`, ['theme=dark']], [`${session}; theme=login-x; a=1`, ['a=1', 'theme=login-x']],
    [`a=1; ${session}; my-login-x=2;login-x=3`, ['a=1', 'my-login-x=2']],
    [`${session}; login-x=${'x'.repeat(9000)}; a=1`, ['a=1']],
    [`${session}; a=${'x'.repeat(9000)}; b=2`, []],
  ]) {
    const { cookie } = (await get('/', { cookie: sent }, other.app)).json();
    assert.deepEqual(cookie?.split('; ').sort() ?? [], received, sent.replace(session, 'SESSION'));
  }
  done("the app's own cookies reach it, whatever stands between them");
}

/** The cookies of a person's session, as a header. */
async function sessionOf(page) {
  const all = await page.browserContext().cookies();
  return cookies(Object.fromEntries(all.filter(({ domain, name }) => domain === 'localhost' && name.startsWith('login-'))
    .map(({ name, value }) => [name, value])));
}

/** What docs/login.md says of a newline at the end of client-secret. */
async function aNewlineInTheSecret() {
  const other = new Example();
  process.once('exit', () => other.close());
  await other.start({ ending: '\n' });
  const page = await person();
  await page.goto(`${other.app}/`);
  await page.type('input[name=login]', 'zoe');
  await page.type('input[name=password]', 'any');
  const [answer] = await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
  assert.equal(new URL(answer.url()).pathname, '/callback');
  assert.equal(answer.status(), 401);
  done('with a newline at the end of client-secret, every login ends at /callback with 401');
}

/** A browser of one's own: nothing is shared with anybody else's. */
async function person() {
  const page = await (await browser.createBrowserContext()).newPage();
  await page.setViewport({ width: 1000, height: 640 });
  return page;
}

async function logIn(page, name, path) {
  await page.goto(example.app + path);
  assert.ok(page.url().startsWith(`${example.provider}/interaction/`), `sent to the provider, not to ${page.url()}`);
  await page.type('input[name=login]', name);
  await page.type('input[name=password]', 'any');
  await screenshot(page, `${name}-provider`, 440);
  await click(page, 'button[type=submit]');
  const text = await page.evaluate(() => document.body.innerText);
  assert.match(text, /Verified/);
  assert.ok(text.includes(`${name}@example.com`));
  await screenshot(page, `${name}-app`);
}

async function click(page, selector) {
  await Promise.all([page.waitForNavigation(), page.click(selector)]);
}

/** What the app says that it received from this person. */
async function json(page) {
  return (await page.goto(`${example.app}/?format=json`)).json();
}

/** A GET with the path just as it is written, which fetch would tidy up; redirects are not followed. */
async function get(path, headers = {}, app = example.app) {
  const asked = request(app, { path, headers }).end();
  const [answer] = await once(asked, 'response');
  const body = Buffer.concat(await answer.toArray()).toString();
  return { status: answer.statusCode, headers: answer.headers, body, json: () => JSON.parse(body) };
}

/** The requests that have reached the app, one line each; it does not log /healthz. */
function visits() {
  return example.log('upstream').split('\n').filter((line) => line.startsWith('GET '));
}

function cookies(values) {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`).join('; ');
}

function unsigned() {
  const claims = { iss: example.provider, aud: 'envoy', sub: 'mallory', exp: 9999999999 };
  return [{ alg: 'none' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.') + '.';
}

async function screenshot(page, name, height = 640) {
  const clip = { x: 0, y: 0, width: 1000, height };
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), clip });
}

function done(what) {
  console.log(`  ${what}`);
}
