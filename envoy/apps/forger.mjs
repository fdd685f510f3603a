// What reaches an app past the proxy, and the key of the proxy.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { SignJWT, UnsecuredJWT } from 'jose';
import { cookiesOf, get } from './people.mjs';

const ASSERTION = 'x-pomerium-jwt-assertion';
const { ATTEST } = process.env;

export class Forger {
  constructor(example, app) {
    Object.assign(this, { example, app });
  }

  /** Asks the app itself at `path`: with a good assertion of alice it answers `good`, with all else `bad`. */
  async tries(path, good, bad) {
    const ask = async (token) => {
      const headers = { host: 'localhost', ...(token === undefined ? {} : { [ASSERTION]: token }), 'remote-user': 'alice' };
      return (await get(this.app.url + path, headers)).status;
    };
    assert.equal(await ask(await this.assertion()), good, 'a good assertion');
    for (const [what, token] of Object.entries({
      'no assertion': undefined, 'an empty one': '', 'a forged one': 'forged', 'two': `${await this.assertion()}, forged`,
      'one without a signature': new UnsecuredJWT(claims({})).encode(),
      "a stranger's": await this.assertion({}, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
      "another host's": await this.assertion({ aud: 'other.example.com' }),
      "another issuer's": await this.assertion({ iss: 'other.example.com' }),
      'an old one': await this.assertion({ exp: now() - 60 }),
      "nobody's": await this.assertion({ sub: '', user: '' }),
    })) assert.equal(await ask(token), bad, what);
  }

  /** Asks the app with the cookies of somebody's browser, or with these, and an assertion that has changed. */
  async ask(path, of, changed) {
    const headers = { host: 'localhost', cookie: of.cookie ?? (await cookiesOf(of)), [ASSERTION]: await this.assertion(changed) };
    return get(this.app.url + path, headers);
  }

  /** An assertion as the filter would sign it, but for what is changed. */
  async assertion(changed = {}, key = createPrivateKey(this.pem())) {
    const [{ kid }] = await this.keyset();
    return new SignJWT(claims(changed)).setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid }).sign(key);
  }

  /** Another key is published beside the one that signs, then it signs. */
  async rotate() {
    const [old, next] = [this.pem(), this.example.file('next.pem')];
    execFileSync(ATTEST, ['keygen', '--out', next], { stdio: 'ignore' });
    const [{ kid }] = await this.keyset();
    const key = readFileSync(next, 'utf8');
    await this.publish(old + key, (kids) => kids.length === 2 && kids[0] === kid);
    await this.publish(key + old, (kids) => kids.length === 2 && kids[1] === kid);
  }

  /** Replaces the key file, and waits until no worker of Envoy answers with another keyset. */
  async publish(pem, isSo) {
    const file = this.example.file('signing-key.pem');
    writeFileSync(`${file}.new`, pem, { mode: 0o600 });
    renameSync(`${file}.new`, file);
    await this.example.until('the keyset', async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => this.keyset()));
      return all.every((keys) => isSo(keys.map(({ kid }) => kid)));
    });
  }

  async keyset() {
    return (await get(this.example.keysetUrl)).json().keys;
  }

  pem() {
    return readFileSync(this.example.file('signing-key.pem'), 'utf8');
  }
}

const now = () => Math.floor(Date.now() / 1000);

function claims(changed) {
  return {
    iss: 'localhost', aud: 'localhost', iat: now() - 100, exp: now() + 200, jti: '1', sub: 'alice', user: 'alice',
    email: 'alice@example.com', name: 'Alice', sid: '', groups: ['admins'], ...changed,
  };
}
