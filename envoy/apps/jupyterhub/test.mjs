import assert from 'node:assert/strict';
import { cookiesOf, get, screenshot, textOf } from '../people.mjs';

const HOME = '/hub/home';

export async function test({ app, people, forger, done }) {
  await forger.tries('/hub/login', 302, 403);
  done('a good assertion is let in, what is forged is not, nor what is for another app');

  const alice = await people.signIn('alice', HOME);
  assert.deepEqual(await userOf(alice), { name: 'alice', admin: true, groups: ['admins', 'engineering'] });
  await screenshot(alice, 'jupyterhub');
  const bob = await people.signIn('bob', HOME);
  assert.deepEqual(await userOf(bob), { name: 'bob', admin: false, groups: ['engineering'] });
  const { admin, groups } = (await forger.ask('/hub/api/user', alice, { groups: ['engineering'] })).json();
  assert.deepEqual([admin, groups], [false, ['engineering']]);
  assert.equal((await userOf(alice)).admin, true);
  done('alice is an admin for as long as she is in the group, bob is not; both are in their groups');

  await startServer(people, alice, 'alice');
  assert.equal(await inTerminal(alice, 'alice', 'echo I am $USER'), 'I am alice');
  done("alice's notebook server starts, and its terminal speaks over a websocket");

  const cookie = await cookiesOf(alice);
  for (const path of ['/hub/home', '/user/alice/api/contents', '/hub/api/user']) {
    assert.equal((await forger.ask(path, alice, {})).status, 200, path);
    assert.notEqual((await forger.ask(path, alice, { sub: 'bob', user: 'bob' })).status, 200, `${path}, with bob's assertion`);
    assert.notEqual((await get(app.url + path, { host: 'localhost', cookie })).status, 200, `${path}, without an assertion`);
  }
  done("alice's cookies are of no use without her assertion, at the hub and at her server");

  await people.changeTo(alice, 'bob', HOME);
  assert.equal((await userOf(alice)).name, 'bob');
  const answer = await alice.goto(`${people.example.app}/user/alice/api/contents`);
  assert.equal(answer.status(), 403);
  done("another person in the same browser is that person, and has no way to alice's server");

  await forger.rotate();
  assert.equal((await userOf(bob)).name, 'bob');
  done('a rotated key goes on');
}

/** What the hub knows of whoever asks. */
async function userOf(page) {
  const { name, admin, groups } = await page.evaluate(async () => {
    const answer = await fetch('/hub/api/user', { headers: { 'X-XSRFToken': window.jhdata?.xsrf_token } });
    return answer.json();
  });
  return { name, admin, groups: groups?.sort() };
}

async function startServer(people, page, name) {
  await page.goto(`${people.example.app}/hub/spawn`);
  await page.waitForFunction((path) => location.pathname.startsWith(path), { timeout: 60_000 }, `/user/${name}/`);
  assert.match(await textOf(page), /Jupyter Server/);
  // That page is for everybody. On the way to this one, which there is not, the server signs her in.
  const own = page.url();
  await page.goto(`${own}files/none`);
  await page.goto(own);
}

/** The last line that a command prints in a new terminal of the notebook server. */
async function inTerminal(page, name, command) {
  return page.evaluate(async (base, line) => {
    const token = document.cookie.split('; ').find((cookie) => cookie.startsWith('_xsrf=')).slice('_xsrf='.length);
    const headers = { 'X-XSRFToken': token };
    const terminal = await (await fetch(`${base}api/terminals`, { method: 'POST', headers })).json();
    const socket = new WebSocket(`ws://${location.host}${base}terminals/websocket/${terminal.name}`);
    return new Promise((resolve, reject) => {
      let printed = '';
      socket.onclose = () => reject(new Error('closed'));
      socket.onmessage = ({ data }) => {
        const [kind, text] = JSON.parse(data);
        if (kind === 'setup') socket.send(JSON.stringify(['stdin', `${line}\r`]));
        if (kind === 'stdout') printed += text;
        const found = printed.match(/^I am \w+/m);
        if (found) resolve(found[0]);
      };
    });
  }, `/user/${name}/`, command);
}
