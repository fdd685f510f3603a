// How each app is started, with the settings that all of them have.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';

const HERE = import.meta.dirname;
const PYTHON = join(HERE, 'venv/bin/python');
const PGADMINS_PYTHON = join(HERE, 'pgadmin-venv/bin/python');
const APACHE = '/usr/sbin/apache2';
const BIN = join(HERE, 'node_modules/.bin');

const APPS = {
  django: { page: '/admin/', ready: [401, '/'], command: [PYTHON, join(HERE, 'django/app.py')], modules: 'wsgi' },
  pgadmin: { page: '/', ready: [401, '/'], command: [PGADMINS_PYTHON, join(HERE, 'pgadmin/app.py')], modules: 'wsgi' },
  jupyterhub: {
    page: '/hub/home',
    ready: [200, '/hub/health'],
    command: [PYTHON, '-m', 'jupyterhub', '-f', join(HERE, 'jupyterhub/jupyterhub_config.py')],
    ports: ['HUB_PORT', 'PROXY_PORT'],
    modules: 'jupyterhub',
  },
  'node-red': { page: '/', ready: [200, '/auth/login'], command: [join(BIN, 'node-red'), '--settings', join(HERE, 'node-red/settings.cjs')] },
  apache: {
    page: '/',
    ready: [401, '/'],
    command: [APACHE, '-DFOREGROUND', '-f', join(HERE, 'apache/apache.conf')],
    needs: { [APACHE]: 'apache2-bin', '/usr/lib/apache2/modules/mod_auth_openidc.so': 'libapache2-mod-auth-openidc' },
    share,
  },
};

/** Apache is www-data where it is started by root, and must get there. */
function share(example, data) {
  mkdirSync(join(data, 'share'));
  chmodSync(example.directory, 0o711);
  for (const directory of [data, join(data, 'share')]) chmodSync(directory, 0o777);
}

export const NAMES = Object.keys(APPS);

export class App {
  constructor(name) {
    if (!APPS[name]) throw new Error(`no app ${name}: there are ${NAMES.join(', ')}`);
    Object.assign(this, { name, ...APPS[name] });
  }

  /** The packages of Debian's that it needs and this machine does not have. */
  missing() {
    return Object.entries(this.needs ?? {}).filter(([file]) => !existsSync(file)).map(([, name]) => name).join(' ');
  }

  /** Chooses its ports. */
  async prepare() {
    this.port = await freePort();
    this.more = {};
    for (const name of this.ports ?? []) this.more[name] = String(await freePort());
    return this;
  }

  /** Its own URL, past the proxy. */
  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(example) {
    const data = example.file('data');
    mkdirSync(data);
    this.share?.(example, data);
    const [program, ...rest] = this.command;
    const env = {
      KEYSET_PAUSE: '30', ...process.env, ...this.more, PORT: String(this.port), DATA: data, JWKS_URL: example.keysetUrl,
      METADATA_URL: `${example.app}/.well-known/pomerium`,
      AUDIENCE: 'localhost', ISSUER: 'localhost', PYTHONPATH: [join(HERE, this.modules ?? ''), HERE].join(delimiter),
      PATH: [BIN, process.env.PATH].join(delimiter),
    };
    // JupyterHub ends what it has started, if it is asked to.
    example.run(this.name, (stdio) => spawn(program, rest, { stdio, env, cwd: data }), 'SIGTERM');
    const [status, path] = this.ready;
    await example.until(`${this.name} to answer`, async () => (await fetch(this.url + path)).status === status);
  }
}

/** One from below those that the kernel gives to clients: it is still free when the app, some seconds later, takes it. */
async function freePort() {
  for (;;) {
    const port = 10_240 + randomInt(20_000);
    const server = createServer();
    const isFree = await new Promise((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}
