// The same for jose. Usage: node measure.mjs; the package `jose` must be there.
import { createServer } from "node:http";
import { createRemoteJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";

let offset = 0;
const real = Date.now;
Date.now = () => real() + offset * 1000;

const steps = [0, 5, 10, 20, 29, 31, 45, 59, 61, 120, 301, 599, 601];
const keys = Object.fromEntries(await Promise.all(["a", "b"].map(async (kid) => [kid, await generateKeyPair("ES256")])));
const token = (kid) => new SignJWT({ sub: "ann" }).setProtectedHeader({ alg: "ES256", kid }).sign(keys[kid].privateKey);
let published = ["a"];
const server = createServer(async (_, response) => {
  const jwk = async (kid) => ({ ...(await exportJWK(keys[kid].publicKey)), kid, alg: "ES256", use: "sig" });
  response.setHeader("cache-control", "public, max-age=60");
  response.end(JSON.stringify({ keys: await Promise.all(published.map(jwk)) }));
}).listen(0, "127.0.0.1");
await new Promise((done) => server.once("listening", done));

async function follows(seconds) {
  published = ["a"];
  const keyset = createRemoteJWKSet(new URL(`http://127.0.0.1:${server.address().port}/`));
  await jwtVerify(await token("a"), keyset);
  published = ["a", "b"];
  offset += seconds;
  return jwtVerify(await token("b"), keyset).then(() => true, () => false);
}

let tooEarly;
for (const seconds of steps) {
  if (await follows(seconds)) {
    console.log(`jose: follows ${seconds} s after it fetched the keyset; not after ${tooEarly} s`);
    break;
  }
  tooEarly = seconds;
}
server.close();
