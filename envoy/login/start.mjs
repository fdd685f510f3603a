// `make login`: starts the example, says where it is, and ends it with Ctrl-C.
import { Example } from './example.mjs';

const example = new Example();
process.once('exit', () => example.close());
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit());

try {
  await example.start({ friendly: true });
} catch (error) {
  console.error(`login: ${error.message}`);
  process.exit(1);
}
console.log(`
Signed identity, with the login in front
   open       ${example.app}/
   sign in    as zoe, ann or any name, with any password
   sign out   ${example.app}/sign-out
   keyset     ${example.keysetUrl}
   provider   ${example.provider}/.well-known/openid-configuration
   files      ${example.directory}
   stop       Ctrl-C
`);
example.watch('login');
