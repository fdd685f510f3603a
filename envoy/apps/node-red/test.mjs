import assert from 'node:assert/strict';
import { get, screenshot } from '../people.mjs';

const [USER, FLOWS] = ['/settings', '/flows'];

export async function test({ app, people, forger, done }) {
  await forger.tries(USER, 200, 401);
  await forger.tries(FLOWS, 200, 401);
  const password = { method: 'POST', body: 'grant_type=password&client_id=node-red-editor&username=alice&password=any&scope=*' };
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  assert.equal((await get(`${app.url}/auth/token`, form, password)).status, 403, 'there is no password');
  done('a good assertion is let in, what is forged is not, nor what is for another app');

  const alice = await people.signIn('alice', '/');
  await alice.waitForSelector('.red-ui-palette-node', { visible: true });
  assert.equal(await alice.$('#node-dialog-login'), null, 'no login of its own');
  await screenshot(alice, 'node-red');
  assert.deepEqual(await userOf(people, alice), { username: 'alice', permissions: '*' });
  const bob = await people.signIn('bob', '/');
  assert.deepEqual(await userOf(people, bob), { username: 'bob', permissions: 'read' });
  assert.deepEqual([await deploy(alice), await deploy(bob)], [204, 401]);
  assert.deepEqual([await answerOfFlow(alice), await answerOfFlow(bob)], [200, 200]);
  await forger.tries('/hello', 200, 401);
  done('alice changes a flow, which bob may only look at; what it serves is for both');

  assert.equal(await websocket(alice), 'open');
  done("the editor's websocket is open");
  await people.changeTo(alice, 'bob', '/');
  assert.equal((await userOf(people, alice)).username, 'bob');
  assert.equal(await deploy(alice), 401);
  done('another person in the same browser is that person');

  await forger.rotate();
  assert.equal((await userOf(people, bob)).username, 'bob');
  done('a rotated key goes on');
}

async function userOf(people, page) {
  const answer = await people.get(page, USER);
  assert.equal(answer.status, 200, JSON.stringify(answer.headers));
  const { username, permissions } = answer.json().user;
  return { username, permissions };
}

/** The status of replacing all flows by one that answers at /hello. */
async function deploy(page) {
  return page.evaluate(async () => {
    const flow = [
      { id: 'tab', type: 'tab', label: 'hello' },
      { id: 'in', type: 'http in', z: 'tab', url: '/hello', method: 'get', wires: [['out']] },
      { id: 'out', type: 'http response', z: 'tab', statusCode: '200', wires: [] },
    ];
    const headers = { 'content-type': 'application/json' };
    return (await fetch('/flows', { method: 'POST', headers, body: JSON.stringify(flow) })).status;
  });
}

async function answerOfFlow(page) {
  return page.evaluate(async () => (await fetch('/hello')).status);
}

/** Whether a websocket of the editor is let in: it is closed for others. */
async function websocket(page) {
  return page.evaluate(() => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}/comms`);
    socket.onopen = () => socket.send(JSON.stringify({ subscribe: 'notification/#' }));
    socket.onmessage = () => resolve('open');
    socket.onclose = () => resolve('closed');
  }));
}
