// People with browsers, and requests without one.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { findChromium } from './chromium.mjs';

const { SCREENSHOTS, CHROMIUM = findChromium() } = process.env;

export class People {
  static async open(example) {
    // Chromium's sandbox does not work for root; every page here is our own.
    const browser = await puppeteer.launch({ executablePath: CHROMIUM, args: process.getuid() ? [] : ['--no-sandbox'] });
    return Object.assign(new People(), { browser, example });
  }

  async close() {
    await this.browser.close();
  }

  /** Somebody with a browser of their own, who signs in at the provider on the way to `path`. */
  async signIn(name, path) {
    const page = await (await this.browser.createBrowserContext()).newPage();
    await page.setViewport({ width: 1000, height: 640 });
    await this.signInWith(page, name, path);
    return page;
  }

  async signInWith(page, name, path) {
    await page.goto(this.example.app + path);
    assert.ok(page.url().startsWith(`${this.example.provider}/interaction/`), `sent to the provider, not to ${page.url()}`);
    await page.type('input[name=login]', name);
    await page.type('input[name=password]', 'any');
    await click(page, 'button[type=submit]');
  }

  /** Another person takes over the same browser: the proxy's session is another one, the app's cookies are still there. */
  async changeTo(page, name, path) {
    await page.goto(`${this.example.app}/sign-out`);
    await click(page, 'button[value=yes]');
    await this.signInWith(page, name, path);
  }

  /** A request through the proxy with the cookies of a browser, or some more. */
  async get(page, path, headers = {}, more = {}) {
    return get(this.example.app + path, { cookie: await cookiesOf(page), ...headers }, more);
  }
}

export async function click(page, selector) {
  await Promise.all([page.waitForNavigation(), page.click(selector)]);
}

export async function textOf(page) {
  return page.evaluate(() => document.body.innerText);
}

export async function cookiesOf(page) {
  const all = await page.browserContext().cookies();
  return all.filter(({ domain }) => domain === 'localhost').map(({ name, value }) => `${name}=${value}`).join('; ');
}

/** With SCREENSHOTS=directory it is kept. */
export async function screenshot(page, name) {
  if (SCREENSHOTS) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}

/** A request as it is written, over a connection of its own; redirects are not followed. */
export async function get(url, headers = {}, { method = 'GET', body } = {}) {
  const [answer] = await once(request(url, { method, headers, agent: false }).end(body), 'response');
  const text = Buffer.concat(await answer.toArray()).toString();
  return { status: answer.statusCode, headers: answer.headers, text, json: () => JSON.parse(text) };
}
