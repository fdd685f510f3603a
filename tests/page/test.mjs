// `make test-page`: every state of the page, in both themes, wide and narrow, as axe and the accessibility tree have it.
// With SCREENSHOTS=directory it keeps what it saw.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { findChromium } from './chromium.mjs';
import { Proxy } from './proxy.mjs';
import { Services } from './services.mjs';

const { SCREENSHOTS, CHROMIUM = findChromium() } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = [1080, 390];
const THEMES = ['light', 'dark'];
const OUTCOMES = ['passed', 'failed', 'proves nothing', 'not checked'];
const [PASSED, FAILED, MOOT, OPEN] = OUTCOMES;
/** The words for the checks that are made, in the order of the page. */
const CHECKS = ['one assertion in the request', 'its key is in the keyset', 'the key signed this header and these claims',
  'valid now', 'for this audience', 'from this issuer'];
const NOTHING_VOUCHES = 'Nothing vouches for these claims.';
const REFUSED_ALL_THE_SAME = 'Signed, and refused all the same.';

const services = new Services();
const proxy = new Proxy();
process.once('exit', () => services.close());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
await proxy.start();
// Chromium's sandbox does not work for root; every page here is our own.
const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: process.getuid() ? [] : ['--no-sandbox'] });
try {
  await everyState();
  await theIcon();
} finally {
  await browser.close();
  proxy.close();
}
process.exit();

async function everyState() {
  const plain = await services.start();
  const strict = await services.start('--audience', 'app.example.com', '--issuer', 'app.example.com');
  const lost = await services.start('--jwks', 'http://127.0.0.1:1/');
  const demo = await services.demo();
  const good = services.assertion();
  const old = services.assertion({ iat: 1700000000, exp: 1700000300 });
  const nobody = services.assertion({ sub: '', user: '', email: '', name: '', groups: [] });
  const all = [PASSED, PASSED, PASSED, PASSED];
  const none = [MOOT, FAILED, OPEN, MOOT, MOOT, MOOT];
  const unnamed = none.with(4, OPEN).with(5, OPEN);
  const states = [
    ['verified', strict, [good], 'Ann', 'Verified', [...all, PASSED, PASSED]],
    ['verified-any-audience', plain, [good], 'Ann', 'Verified', [...all, OPEN, OPEN]],
    ['verified-demo', demo, [good], 'Ann', 'Verified', [...all, OPEN, OPEN]],
    ['anonymous', demo, [nobody], 'Nobody is signed in', 'Anonymous', [...all, OPEN, OPEN]],
    ['forged', strict, [services.forged()], 'Not verified', 'Refused', [MOOT, MOOT, FAILED, MOOT, MOOT, MOOT], NOTHING_VOUCHES],
    ['another-key', strict, [services.assertion({}, { kid: 'x' })], 'Not verified', 'Refused', none, NOTHING_VOUCHES],
    ['no-algorithm', plain, [services.assertion({}, { alg: 'none' })], 'Not verified', 'Refused', unnamed, NOTHING_VOUCHES],
    ['expired', strict, [old], 'Not verified', 'Refused', [...all.with(3, FAILED), PASSED, PASSED], REFUSED_ALL_THE_SAME],
    ['other-audience', strict, [services.assertion({ aud: 'other' })], 'Not verified', 'Refused', [...all, FAILED, PASSED],
      REFUSED_ALL_THE_SAME],
    ['twice', strict, [good, good], 'Not verified', 'Refused', [...all.with(0, FAILED), PASSED, PASSED], REFUSED_ALL_THE_SAME],
    ['no-keyset', lost, [good], 'Not verified', 'Refused', unnamed, NOTHING_VOUCHES],
    ['no-token', strict, ['forged'], 'Not verified', 'Refused', []],
    ['no-assertion', strict, [], 'Not verified', 'Refused', []],
  ];
  for (const [name, service, assertions, heading, verdict, checks, warning] of states) {
    proxy.upstream = service.url;
    proxy.headers = Services.carrying(...assertions);
    for (const theme of THEMES) {
      for (const width of WIDTHS) await look({ name, theme, width, heading, verdict, checks, warning });
    }
  }
  console.log(`  ${states.length} states, ${THEMES.join(' and ')}, ${WIDTHS.join(' and ')} pixels: axe has no complaint, the words are there`);
}

async function look(state) {
  const page = await browser.newPage();
  const where = `${state.name}, ${state.theme}, ${state.width}`;
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: state.theme }]);
  await page.setViewport({ width: state.width, height: 900 });
  await page.goto(proxy.url);
  if (SCREENSHOTS) {
    await page.screenshot({ path: join(SCREENSHOTS, `${state.name}-${state.theme}-${state.width}.png`), fullPage: true });
  }
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], where);
  await theWords(page, state, where);
  await theLooks(page, state, where);
  await page.close();
}

/** What a screen reader has to say. */
async function theWords(page, { heading, verdict, checks, warning }, where) {
  const spoken = [];
  const visit = ({ role, name, children = [] }) => {
    spoken.push(`${role}: ${name ?? ''}`);
    children.forEach(visit);
  };
  visit(await page.accessibility.snapshot({ interestingOnly: false }));
  assert.ok(spoken.includes(`heading: ${heading}`), `${where}: ${spoken.join('\n')}`);
  assert.ok(spoken.includes(`StaticText: ${verdict}`), where);
  const outcomes = spoken.map((line) => line.replace('StaticText: ', '')).filter((words) => OUTCOMES.includes(words));
  assert.deepEqual(outcomes, checks, where);
  for (const words of checks.length ? CHECKS : []) assert.ok(spoken.includes(`StaticText: ${words}`), `${where}: ${words}`);
  const warned = spoken.filter((line) => [NOTHING_VOUCHES, REFUSED_ALL_THE_SAME].some((text) => line.endsWith(text)));
  assert.equal(warned.length > 0, warning !== undefined, where);
  assert.ok(warned.every((line) => line.endsWith(warning)), where);
  const title = { Verified: 'Verified: Ann', Anonymous: 'Nobody is signed in', Refused: 'Not verified' }[verdict];
  assert.equal(await page.title(), `${title} · attest upstream`, where);
}

/** What somebody has to see. */
async function theLooks(page, { width, verdict, checks, warning }, where) {
  const seen = await page.evaluate(() => {
    const probe = document.createElement('i');
    probe.style.color = 'var(--good)';
    document.body.append(probe);
    const green = getComputedStyle(probe).color;
    probe.remove();
    const top = (selector) => document.querySelector(selector)?.getBoundingClientRect().top;
    const colours = (element) => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor];
    return {
      width: document.documentElement.scrollWidth,
      green: [...document.querySelectorAll('body *')].filter((element) => colours(element).includes(green)).length,
      seal: colours(document.querySelector('.seal b'))[0] === green,
      warning: top('.warning'),
      claims: top('.stacks dl'),
    };
  });
  assert.ok(seen.width <= width, `${where}: ${seen.width} pixels wide`);
  assert.equal(seen.seal, verdict === 'Verified', `${where}: green is for users alone`);
  if (!checks.includes(PASSED)) assert.equal(seen.green, 0, `${where}: nothing is green`);
  if (warning) assert.ok(seen.warning < seen.claims, `${where}: above the claims`);
}

async function theIcon() {
  const service = await services.start();
  proxy.upstream = service.url;
  proxy.headers = [];
  const page = await browser.newPage();
  await page.goto(proxy.url);
  const href = await page.$eval('link[rel=icon]', (link) => link.href);
  const answer = await page.goto(href);
  assert.deepEqual([answer.status(), answer.headers()['content-type'], new URL(href).pathname],
    [200, 'image/svg+xml', '/favicon.ico']);
  assert.equal(service.child.log.includes('favicon'), false, 'it is no visit');
  console.log('  the icon is there, and is no visit');
}
