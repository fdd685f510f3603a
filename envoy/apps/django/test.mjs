import assert from 'node:assert/strict';
import { click, screenshot, textOf } from '../people.mjs';

const PAGE = '/admin/';

export async function test({ people, forger, done }) {
  await forger.tries(PAGE, 200, 401);
  done('a good assertion is let in, what is forged is not, nor what is for another app');

  const alice = await people.signIn('alice', PAGE);
  assert.match(await textOf(alice), /Welcome, alice/i);
  await alice.goto(`${people.example.app}/admin/auth/group/add/`);
  await alice.type('input[name=name]', 'ops');
  await click(alice, 'input[name=_save]');
  assert.match(await textOf(alice), /The group “ops” was added successfully/);
  await screenshot(alice, 'django');
  const bob = await people.signIn('bob', PAGE);
  assert.match(await textOf(bob), /authenticated as bob, but are not authorized/);
  assert.deepEqual([(await forger.ask(PAGE, alice, {})).status, (await forger.ask(PAGE, alice, { groups: [] })).status], [200, 302]);
  done('alice is an admin for as long as she is in the group, bob is not');

  await aStolenSession(people, forger, alice, bob);
  const before = await sessionOf(alice);
  await people.changeTo(alice, 'bob', PAGE);
  assert.match(await textOf(alice), /authenticated as bob/);
  assert.notEqual(await sessionOf(alice), before);
  await people.changeTo(alice, 'alice', PAGE);
  assert.match(await textOf(alice), /Welcome, alice/i);
  done("a session ends with its user, and is no other user's");

  const session = await sessionOf(alice);
  await forger.rotate();
  await alice.goto(people.example.app + PAGE);
  assert.match(await textOf(alice), /Welcome, alice/i);
  assert.equal(await sessionOf(alice), session);
  done('a rotated key goes on, with the session');
}

/** Bob has alice's cookie: he is bob, and Django never sees it, so hers goes on. */
async function aStolenSession(people, forger, alice, bob) {
  const session = await sessionOf(alice);
  await bob.browserContext().setCookie({ name: 'sessionid', value: session, domain: 'localhost', path: '/' });
  await bob.goto(people.example.app + PAGE);
  assert.match(await textOf(bob), /authenticated as bob, but are not authorized/);
  const unmarked = session.split('.')[1];
  for (const cookie of [`sessionid=${unmarked}`, `sessionid =${unmarked}`, `a=b sessionid=${unmarked}`]) {
    await forger.ask(PAGE, { cookie }, { sub: 'bob', user: 'bob' });
  }
  const hers = await people.get(alice, PAGE);
  assert.deepEqual([hers.status, hers.headers['set-cookie']?.filter((cookie) => cookie.startsWith('sessionid'))], [200, []]);
}

async function sessionOf(page) {
  return (await page.browserContext().cookies()).find(({ name }) => name === 'sessionid').value;
}
