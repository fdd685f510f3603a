// Has a YAML language server complete and check the filter's settings inside whole files, as an editor does.
// Usage: node editor.mjs SCHEMA
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

// Where the settings are in a file, a line of them, and a field that completion has to offer there.
const PLACES = [
  ["README.md", "on_missing_identity: deny  #", "token_lifetime"],
  ["envoy/envoy.yaml", "on_missing_identity: deny", "token_lifetime"],
  ["envoy/native/envoy.yaml", "on_missing_identity: deny", "token_lifetime"],
  ["envoy/kubernetes/istio/wasmplugin.yaml", "on_missing_identity: deny", "token_lifetime"],
  ["envoy/kubernetes/envoy-gateway/policy.yaml", "on_missing_identity: deny", "token_lifetime"],
  ["envoy/envoy.yaml", "attestation: {on_missing_identity: skip}", undefined],
];

const require = createRequire(import.meta.url);
const program = require.resolve("yaml-language-server/bin/yaml-language-server");
const server = spawn(process.execPath, [program, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const pending = new Map();
const diagnostics = new Map();
let buffer = Buffer.alloc(0);
server.stdout.on("data", (data) => {
  buffer = Buffer.concat([buffer, data]);
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    const length = Number(/Content-Length: (\d+)/.exec(buffer.subarray(0, end).toString())?.[1]);
    if (end < 0 || buffer.length < end + 4 + length) return;
    const message = JSON.parse(buffer.subarray(end + 4, end + 4 + length));
    buffer = buffer.subarray(end + 4 + length);
    receive(message);
  }
});

function receive({ id, method, params, result }) {
  if (method === "textDocument/publishDiagnostics") diagnostics.get(params.uri)?.(params.diagnostics);
  else if (method) {
    if (id !== undefined) send({ id, result: method === "workspace/configuration" ? params.items.map(() => ({})) : null });
  } else pending.get(id)?.(result);
}

function send(message) {
  const text = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

let last = 0;
function ask(method, params) {
  const id = ++last;
  send({ id, method, params });
  return new Promise((done) => pending.set(id, done));
}

/** Opens a text; what is wrong in it. */
function open(uri, text) {
  const told = new Promise((done) => diagnostics.set(uri, done));
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  return told;
}

function text(path) {
  const text = readFileSync(path, "utf8");
  return path.endsWith(".md") ? /```yaml\n(.*?)\n```/s.exec(text)[1] : text;
}

const schema = resolve(process.argv[2]);
const modeline = `# yaml-language-server: $schema=${schema}\n`;
await ask("initialize", { processId: process.pid, rootUri: null, capabilities: { workspace: { configuration: true } } });
send({ method: "initialized", params: {} });
const wrong = [];
for (const [number, [path, line, field]] of PLACES.entries()) {
  const lines = (modeline + text(path)).split("\n");
  const at = lines.findIndex((it) => it.includes(line));
  if (at < 0) throw new Error(`${path} has no ${line}`);
  const uri = (name) => pathToFileURL(resolve(`target/manifests/${number}-${name}.yaml`)).href;
  const good = await open(uri("good"), lines.join("\n"));
  if (good.length) wrong.push(`${path}: ${JSON.stringify(good.map(({ message }) => message))}`);

  const slip = lines.with(at, lines[at].replace("on_missing_identity", "on_missing_identitty"));
  const bad = await open(uri("bad"), slip.join("\n"));
  if (!bad.some(({ message }) => message.includes("on_missing_identitty"))) wrong.push(`${path}: a slip is not told`);

  if (!field) continue;
  const indent = lines[at].search(/\S/);
  const asked = lines.toSpliced(at + 1, 0, `${" ".repeat(indent)}token`);
  await open(uri("asked"), asked.join("\n"));
  const position = { line: at + 1, character: indent + 5 };
  const offered = await ask("textDocument/completion", { textDocument: { uri: uri("asked") }, position });
  if (!offered?.items.some(({ label }) => label === field)) wrong.push(`${path}: ${field} is not offered`);
}
server.kill();
if (wrong.length) {
  console.error(wrong.join("\n"));
  process.exit(1);
}
console.log(`  an editor completes and checks the filter's settings at ${PLACES.length} places of whole files`);
