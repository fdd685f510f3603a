import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { screenshot } from '../people.mjs';

const [PAGE, USER, SOCKET] = ['/browser/', '/user_management/current_user.js', '/socket.io/?EIO=4&transport='];
const BOB = { sub: 'bob', user: 'bob', groups: ['engineering'] };
const [ALICE_IS, BOB_IS] = [{ name: 'alice', isAdmin: true }, { name: 'bob', isAdmin: false }];

export async function test({ app, people, forger, done }) {
  await forger.tries('/', 302, 401);
  await forger.tries(`${SOCKET}polling`, 200, 401);
  done('a good assertion is let in, what is forged is not, nor what is for another app');

  const alice = await people.signIn('alice', PAGE);
  assert.equal(await nameOn(alice), 'alice (webserver)');
  await screenshot(alice, 'pgadmin');
  const bob = await people.signIn('bob', PAGE);
  assert.equal(await nameOn(bob), 'bob (webserver)');
  // It asks before somebody leaves.
  for (const page of [alice, bob]) page.on('dialog', (dialog) => dialog.accept());
  assert.deepEqual([await userOf(alice), await userOf(bob)], [ALICE_IS, BOB_IS]);
  assert.deepEqual([await statusOfUsers(alice), await statusOfUsers(bob)], [200, 403]);
  const hers = await aSession(forger);
  const [without, within] = [await forger.ask(USER, hers, { groups: ['engineering'] }), await forger.ask(USER, hers, {})];
  assert.deepEqual([user(without.text), user(within.text)], [{ name: 'alice', isAdmin: false }, ALICE_IS]);
  done('alice is an administrator for as long as she is in the group, bob is not');
  assert.match(await firstOverWebsocket(alice), /^0{"sid":/);
  done('a websocket is open');

  await aStolenSession(people, forger, alice, bob);
  await aStolenToken(app, people, forger);
  await people.changeTo(alice, 'bob', PAGE);
  assert.equal(await nameOn(alice), 'bob (webserver)');
  assert.deepEqual(await userOf(alice), BOB_IS);
  await people.changeTo(alice, 'alice', PAGE);
  assert.equal(await nameOn(alice), 'alice (webserver)');
  done("a session ends with its user, and is no other user's");

  const session = await sessionOf(alice);
  await forger.rotate();
  assert.deepEqual(await userOf(alice), ALICE_IS);
  await alice.goto(people.example.app + PAGE);
  assert.equal(await nameOn(alice), 'alice (webserver)');
  assert.equal(await sessionOf(alice), session);
  done('a rotated key goes on, with the session');
}

/** Bob has alice's cookie: he is bob, and pgAdmin never sees it, so hers goes on. */
async function aStolenSession(people, forger, alice, bob) {
  const session = await sessionOf(alice);
  await bob.browserContext().setCookie({ name: 'pga4_session', value: session, domain: 'localhost', path: '/' });
  await bob.goto(people.example.app + PAGE);
  assert.equal(await nameOn(bob), 'bob (webserver)');
  assert.deepEqual(await userOf(alice), ALICE_IS);

  const { cookie } = await aSession(forger);
  const unmarked = cookie.replace(/=.*?\./, '=');
  for (const stolen of [cookie, unmarked, unmarked.replace('=', ' ='), `a=b ${unmarked}`]) {
    assert.equal((await forger.ask(USER, { cookie: stolen }, BOB)).status, 302, stolen);
  }
}

/** A cookie of Flask-Login's. Nobody has it from this pgAdmin, but maybe from one before it was behind the proxy. */
async function aStolenToken(app, people, forger) {
  const script = `import hashlib, hmac, sqlite3, sys
ask = lambda what: sqlite3.connect(sys.argv[1]).execute("select " + what).fetchone()[0]
user, key = ask("fs_uniquifier from user where username = 'alice'"), ask("value from keys where name = 'SECRET_KEY'")
print("remember_token", f"{user}|{hmac.digest(key.encode(), user.encode(), hashlib.sha512).hex()}", sep="=", end="")`;
  const cookie = execFileSync(app.command[0], ['-c', script, people.example.file('data/pgadmin4.db')], { encoding: 'utf8' });
  assert.equal((await forger.ask(USER, { cookie }, BOB)).status, 302);
}

/** A session of alice's past the proxy: pgAdmin binds each to its browser and address. */
async function aSession(forger) {
  const { headers } = await forger.ask('/', { cookie: 'no=cookie' }, {});
  return { cookie: headers['set-cookie'].find((cookie) => cookie.startsWith('pga4_session=')).split(';')[0] };
}

/** The name on the page. */
async function nameOn(page) {
  const name = await page.waitForSelector('[data-test=loggedin-username]', { visible: true });
  return name.evaluate((button) => button.innerText.trim());
}

/** What pgAdmin knows of whoever asks. */
async function userOf(page) {
  return user(await page.evaluate(async (path) => (await fetch(path)).text(), USER));
}

function user(script) {
  const [, isAdmin, name] = script.match(/'is_admin': (true|false),\s+'name': '(\w+)'/) ?? assert.fail(script);
  return { name, isAdmin: isAdmin === 'true' };
}

/** The status of the list of users, which is for administrators. */
async function statusOfUsers(page) {
  return page.evaluate(async () => {
    const { csrf_token_header: header, csrf_token: token } = window.pgAdmin;
    return (await fetch('/user_management/user/', { headers: { [header]: token } })).status;
  });
}

async function firstOverWebsocket(page) {
  return page.evaluate((path) => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}${path}`);
    socket.onmessage = ({ data }) => resolve(data);
    socket.onclose = () => resolve('closed');
  }), `${SOCKET}websocket`);
}

async function sessionOf(page) {
  return (await page.browserContext().cookies()).find(({ name }) => name === 'pga4_session').value;
}
