import assert from 'node:assert/strict';

const NOTE = '/note.txt';

export async function test({ people, forger, done }) {
  const alice = await people.signIn('alice', '/');
  const bob = await people.signIn('bob', '/');
  assert.deepEqual([await write(people, bob), await write(people, alice)], [401, 201]);
  assert.deepEqual([await userOf(people, alice), await userOf(people, bob)], ['alice', 'bob']);
  done('alice may write, bob may read');

  await forger.tries(NOTE, 200, 401);
  done('a good assertion is let in, what is forged is not, nor what is for another app');

  await people.changeTo(alice, 'bob', '/');
  assert.equal(await userOf(people, alice), 'bob');
  assert.equal(await write(people, alice), 401);
  done('another person in the same browser is that person');

  await forger.rotate();
  assert.equal(await userOf(people, bob), 'bob');
  done('a rotated key goes on');
}

async function userOf(people, page) {
  const answer = await people.get(page, NOTE);
  assert.deepEqual([answer.status, answer.text], [200, 'a note']);
  return answer.headers['x-remote-user'];
}

async function write(people, page) {
  return (await people.get(page, NOTE, {}, { method: 'PUT', body: 'a note' })).status;
}
