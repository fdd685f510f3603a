// `make app APP=django`: starts an app behind the login, says where it is, and ends it with Ctrl-C.
import { App } from './apps.mjs';
import { Example } from './example.mjs';

const example = new Example();
process.once('exit', () => example.close());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit());

try {
  const app = new App(process.argv[2]);
  if (app.missing()) throw new Error(`${app.name} needs apt-get install -y ${app.missing()}`);
  await app.prepare();
  await example.start({ friendly: true, app });
  console.log(`
${app.name}, with the login in front
   open       ${example.app}${app.page}
   sign in    as alice, who is in the group admins, or bob, with any password
   sign out   ${example.app}/sign-out
   stop       Ctrl-C
`);
} catch (error) {
  console.error(`app: ${error.message}`);
  process.exit(1);
}
example.watch('app');
