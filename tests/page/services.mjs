// `attest upstream`, a key, and the assertions of every state that the page has.
import { execFileSync, spawn } from 'node:child_process';
import { sign } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const { ATTEST } = process.env;
const HEADER = 'x-pomerium-jwt-assertion';

export class Services {
  #running = [];

  constructor() {
    this.directory = mkdtempSync(join(import.meta.dirname, 'run-'));
    const key = this.#file('key.pem');
    execFileSync(ATTEST, ['keygen', '-o', key], { stdio: 'ignore' });
    const keyset = execFileSync(ATTEST, ['jwks', key], { encoding: 'utf8' });
    writeFileSync(this.#file('jwks.json'), keyset);
    this.key = readFileSync(key, 'utf8');
    this.kid = JSON.parse(keyset).keys[0].kid;
  }

  #file(name) {
    return join(this.directory, name);
  }

  /** Starts a service with these options; where it listens. */
  async start(...options) {
    const jwks = options.includes('--jwks') ? [] : ['--jwks', this.#file('jwks.json')];
    const child = spawn(ATTEST, ['--json', 'upstream', '--listen', '127.0.0.1:0', ...jwks, ...options],
      { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#running.push(child);
    child.log = '';
    child.stderr.on('data', (text) => { child.log += text; });
    for await (const line of createInterface(child.stdout)) return { url: JSON.parse(line).listening, child };
    throw new Error(`attest upstream ended: ${child.log}`);
  }

  demo() {
    return this.start('--demo-issuer-key', this.#file('key.pem'));
  }

  /** An assertion about ann with these claims changed. */
  assertion(changes = {}, header = {}) {
    const now = Math.floor(Date.now() / 1000);
    const claims = { aud: 'app.example.com', iss: 'app.example.com', sub: 'ann', user: 'ann', email: 'ann@example.com',
      name: 'Ann', groups: ['engineering', 'a group with a long name'], jti: '0b8a', iat: now - 60, exp: now + 240, sid: '' };
    const parts = [{ alg: 'ES256', kid: this.kid, typ: 'JWT', ...header }, { ...claims, ...changes }];
    const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    const signature = sign('sha256', Buffer.from(input), { key: this.key, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  }

  /** The same with other claims under the old signature. */
  forged() {
    const [header, , signature] = this.assertion().split('.');
    const [, claims] = this.assertion({ sub: 'root', name: 'Root', groups: ['admins'] }).split('.');
    return [header, claims, signature].join('.');
  }

  /** Headers that carry these assertions. */
  static carrying(...assertions) {
    return assertions.map((assertion) => [HEADER, assertion]);
  }

  close() {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}
