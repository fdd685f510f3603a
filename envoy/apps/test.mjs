// `make test-apps`: each app behind the login, with people who have a browser, and a forger who has none.
// With SCREENSHOTS=directory it keeps what they saw.
import { App, NAMES } from './apps.mjs';
import { Example } from './example.mjs';
import { Forger } from './forger.mjs';
import { People } from './people.mjs';

// So soon does an app ask again for the key of an assertion.
process.env.KEYSET_PAUSE = '0.1';
const running = new Set();
process.once('exit', () => running.forEach((example) => example.close()));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));

const wanted = process.argv.slice(2);
for (const name of wanted.length ? wanted : NAMES) {
  const app = new App(name);
  const missing = app.missing();
  if (!missing) await run(app);
  else if (process.env.REQUIRE_ALL === '1') throw new Error(`${name} needs ${missing}`);
  else console.log(`  ${name}: NOT TESTED, for this machine lacks ${missing}`);
}
process.exit();

async function run(app) {
  const { name } = app;
  const { test } = await import(`./${name}/test.mjs`);
  const example = new Example();
  running.add(example);
  await example.start({ app: await app.prepare() });
  const people = await People.open(example);
  try {
    await test({ app, people, forger: new Forger(example, app), done: (what) => console.log(`  ${name}: ${what}`) });
  } catch (error) {
    for (const log of ['envoy', name]) console.error(`--- ${log}\n${example.log(log)}`);
    throw error;
  } finally {
    await people.close();
  }
  example.close();
  running.delete(example);
}
