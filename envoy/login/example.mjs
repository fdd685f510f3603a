// Starts the provider, Envoy and `attest upstream` in a directory that is gone when they end.
import { execFileSync, fork, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const { ENVOY, RUN_ENVOY, ATTESTATION_FILTER_WASM: MODULE, ATTEST } = process.env;
const HERE = import.meta.dirname;
const DEADLINE = 60_000;
/** What docs/login.md says to change in envoy.yaml for an older Envoy. */
const BEFORE_1_39 = [
  ['                forward_id_token: {header: x-id-token}\n', ''],
  ['from_headers: [{name: x-id-token}]', 'from_cookies: [login-id]'],
];

export class Example {
  #running = [];
  #upstream;

  constructor() {
    // With the secrets in it, and below target/: mode 0700, and never in a commit.
    this.directory = mkdtempSync(join(HERE, 'run-'));
  }

  /**
   * Starts everything, where `friendly` on the ports of envoy.yaml if nobody else has them; `ending` ends the secret's file.
   * `app` takes the place of `attest upstream`: it has a port, and is started once it can fetch the keyset.
   */
  async start({ friendly = false, ending = '', app } = {}) {
    const port = async (wanted) => (friendly && (await isFree(wanted)) ? wanted : 0);
    const clientSecret = this.#secret('client-secret', ending);
    this.#secret('hmac-secret');
    this.#upstream = app
      ? `socket_address: {address: 127.0.0.1, port_value: ${app.port}}` : `pipe: {path: ${this.file('upstream.sock')}}`;
    execFileSync(ATTEST, ['keygen', '--out', this.file('signing-key.pem')], { stdio: 'ignore' });

    const environment = { ...process.env, PORT: String(await port(9000)), CLIENT_SECRET: clientSecret };
    const provider = this.run('provider', (stdio) =>
      fork(join(HERE, 'provider.mjs'), { env: environment, stdio: [...stdio, 'ipc'] }));
    this.provider = `http://127.0.0.1:${(await this.#message(provider)).port}`;
    this.app = `http://localhost:${await this.#startEnvoy(await port(10000))}`;
    provider.send({ app: this.app });
    await this.#message(provider);

    this.keysetUrl = `${this.app}/.well-known/pomerium/jwks.json`;
    await this.until('the keyset', async () => (await (await fetch(this.keysetUrl)).json()).keys.length > 0);
    if (app) await app.start(this);
    else this.#startUpstream();
    await this.until('the app to answer', async () => (await fetch(`${this.app}/healthz`)).status < 500);
  }

  file(name) {
    return join(this.directory, name);
  }

  log(name) {
    return readFileSync(this.file(`${name}.log`), 'utf8');
  }

  /** The name of a program that has ended, though it should not have. */
  ended() {
    return this.#running.find(({ child }) => child.exitCode !== null || child.signalCode !== null)?.name;
  }

  close() {
    // run-envoy ends Envoy when the pipe to it is closed; had it to go at once, it could not.
    for (const { name, child, signal } of this.#running) name === 'envoy' ? child.stdin.destroy() : child.kill(signal);
    rmSync(this.directory, { recursive: true, force: true });
  }

  #startUpstream() {
    this.run('upstream', (stdio) => spawn(ATTEST,
      ['upstream', '--listen', `unix:${this.file('upstream.sock')}`, '--jwks', this.keysetUrl, '--audience', 'localhost'],
      { stdio }));
  }

  async #startEnvoy(port) {
    writeFileSync(this.file('envoy.yaml'), this.#bootstrap(port));
    const child = spawn(RUN_ENVOY, [this.file('envoy.yaml'), this.file('envoy.log'), '2'],
      { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#running.push({ name: 'envoy', child });
    for await (const line of createInterface(child.stdout)) {
      return JSON.parse(line).listeners.ingress.split(':').at(-1);
    }
    throw new Error('Envoy did not start');
  }

  /** envoy.yaml with our ports and paths in the place of its own. */
  #bootstrap(port) {
    return [
      ['port_value: 9901', 'port_value: 0'],
      ['port_value: 10000', `port_value: ${port}`],
      ['http://127.0.0.1:9000', this.provider],
      ['port_value: 9000', `port_value: ${this.provider.split(':').at(-1)}`],
      ['/run/secrets/attestation', this.directory],
      ['pipe: {path: /run/attestation/upstream.sock}', this.#upstream],
      ['/etc/envoy/attestation_filter.wasm', MODULE],
      ...(hasForwardIdToken() ? [] : BEFORE_1_39),
    ].reduce((text, [shipped, ours]) => {
      if (!text.includes(shipped)) throw new Error(`envoy.yaml does not hold ${shipped}`);
      return text.replaceAll(shipped, ours);
    }, readFileSync(join(HERE, 'envoy.yaml'), 'utf8'));
  }

  #secret(name, ending = '') {
    const secret = randomBytes(32).toString('base64url');
    writeFileSync(this.file(name), secret + ending, { mode: 0o600 });
    return secret;
  }

  /** Runs a program until the end, with its output in a file; `start` is told where that goes. */
  run(name, start, signal = 'SIGKILL') {
    const log = openSync(this.file(`${name}.log`), 'w');
    const child = start(['ignore', log, log]);
    this.#running.push({ name, child, signal });
    return child;
  }

  async #message(child) {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the provider ended:\n${this.log('provider')}`));
      child.once('exit', ended);
      child.once('message', (message) => {
        child.off('exit', ended);
        resolve(message);
      });
    });
  }

  /** Waits until `probe` has an answer, as long as everything runs. */
  async until(what, probe) {
    for (const started = Date.now(); Date.now() - started < DEADLINE; await pause(50)) {
      const name = this.ended();
      if (name) throw new Error(`${name} ended:\n${this.log(name)}`);
      const answer = await probe().catch(() => false);
      if (answer) return answer;
    }
    throw new Error(`timed out waiting for ${what}`);
  }

  /** Ends the process, for `command`, as soon as something that was started ends. */
  watch(command) {
    setInterval(() => {
      const name = this.ended();
      if (!name) return;
      console.error(`${command}: ${name} ended:\n${this.log(name)}`);
      process.exit(1);
    }, 1000);
  }
}

function hasForwardIdToken() {
  const [, minor] = execFileSync(ENVOY, ['--version'], { encoding: 'utf8' }).match(/\/1\.(\d+)\./);
  return Number(minor) >= 39;
}

function isFree(port) {
  return new Promise((resolve) => {
    const server = createServer().once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
