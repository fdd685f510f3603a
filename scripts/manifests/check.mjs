// Holds Kubernetes manifests against the schemas of their kinds. Usage: node check.mjs DIRECTORY
//
// The packages' types refuse a field that no schema has, which the validators let pass as an API server without strict
// validation does; the validators check the values.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { parseAllDocuments } from "yaml";

// Where a kind is described. A kind that is not here is an error, too.
const KINDS = {
  "apps/v1 Deployment": "kubernetes-models/apps/v1/Deployment",
  "v1 Namespace": "kubernetes-models/v1/Namespace",
  "networking.istio.io/v1 Gateway": "@kubernetes-models/istio/networking.istio.io/v1/Gateway",
  "networking.istio.io/v1 VirtualService": "@kubernetes-models/istio/networking.istio.io/v1/VirtualService",
  "v1 ConfigMap": "kubernetes-models/v1/ConfigMap",
  "networking.k8s.io/v1 NetworkPolicy": "kubernetes-models/networking.k8s.io/v1/NetworkPolicy",
  "batch/v1 CronJob": "kubernetes-models/batch/v1/CronJob",
  "v1 Service": "kubernetes-models/v1/Service",
  "v1 ServiceAccount": "kubernetes-models/v1/ServiceAccount",
  "rbac.authorization.k8s.io/v1 Role": "kubernetes-models/rbac.authorization.k8s.io/v1/Role",
  "rbac.authorization.k8s.io/v1 RoleBinding": "kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding",
  "policy/v1 PodDisruptionBudget": "kubernetes-models/policy/v1/PodDisruptionBudget",
  "extensions.istio.io/v1alpha1 WasmPlugin": "@kubernetes-models/istio/extensions.istio.io/v1alpha1/WasmPlugin",
  "networking.istio.io/v1alpha3 EnvoyFilter": "@kubernetes-models/istio/networking.istio.io/v1alpha3/EnvoyFilter",
  "security.istio.io/v1 RequestAuthentication":
    "@kubernetes-models/istio/security.istio.io/v1/RequestAuthentication",
  "gateway.envoyproxy.io/v1alpha1 ClientTrafficPolicy":
    "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/ClientTrafficPolicy",
  "gateway.envoyproxy.io/v1alpha1 EnvoyExtensionPolicy":
    "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/EnvoyExtensionPolicy",
  "gateway.envoyproxy.io/v1alpha1 EnvoyProxy":
    "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/EnvoyProxy",
  "gateway.envoyproxy.io/v1alpha1 SecurityPolicy":
    "@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1/SecurityPolicy",
  "gateway.networking.k8s.io/v1 GatewayClass":
    "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/GatewayClass",
  "gateway.networking.k8s.io/v1 Gateway": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/Gateway",
  "gateway.networking.k8s.io/v1 HTTPRoute": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute",
};
// kustomization.yaml is for kustomize, envoy.yaml for Envoy.
const NO_MANIFESTS = ["kustomization.yaml", "envoy.yaml"];
// What Helm makes of it is checked, by scripts/check-chart.
const CHART = "chart/";
// Later than the packages: scripts/check-crds holds these against the definitions themselves.
const NEWER = ["envoy-gateway/native.yaml", "envoy-gateway/login.yaml", "istio/trafficextension.yaml"];

const here = dirname(fileURLToPath(import.meta.url));
const problems = [];

function manifestsBelow(directory) {
  const files = readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(".yaml") && !name.startsWith(CHART) && !NEWER.includes(name))
    .sort();
  return files.filter((name) => !NO_MANIFESTS.some((other) => name.endsWith(other))).flatMap((name) => {
    const documents = parseAllDocuments(readFileSync(join(directory, name), "utf8"), { uniqueKeys: true });
    return documents.map((document) => {
      problems.push(...document.errors.map((error) => `${name}: ${error.message}`));
      return { name, manifest: document.toJS() };
    });
  });
}

async function checkValues({ name, manifest }) {
  const kind = `${manifest.apiVersion} ${manifest.kind}`;
  if (!KINDS[kind]) {
    problems.push(`${name}: no schema is known for ${kind}`);
    return;
  }
  const { [manifest.kind]: Model } = await import(KINDS[kind]);
  try {
    new Model(manifest).validate();
  } catch (error) {
    problems.push(`${name}: ${manifest.kind} ${manifest.metadata?.name}: ${error.message}`);
  }
}

// One TypeScript file with every manifest as a literal of its kind's type.
function checkFields(manifests) {
  const source = manifests.map(({ manifest }, number) => {
    const type = `I${manifest.kind}`;
    const from = KINDS[`${manifest.apiVersion} ${manifest.kind}`];
    const imported = `import type { ${type} as T${number} } from "${from}";\n`;
    return `${imported}export const m${number}: T${number} = ${JSON.stringify(manifest, null, 1)};\n`;
  });
  mkdirSync(join(here, "typed"), { recursive: true });
  const file = join(here, "typed", "manifests.ts");
  writeFileSync(file, source.join(""));
  const program = ts.createProgram([file], {
    strict: true, noEmit: true, skipLibCheck: true, types: [],
    module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, target: ts.ScriptTarget.ES2022,
  });
  for (const diagnostic of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n  ");
    const line = diagnostic.file?.getLineAndCharacterOfPosition(diagnostic.start).line;
    const before = diagnostic.file?.text.split("\n").slice(0, line + 1).join("\n") ?? "";
    const number = before.match(/const m(\d+)/g)?.at(-1)?.slice(7);
    problems.push(`${manifests[number]?.name ?? diagnostic.file?.fileName ?? "?"}: ${text}`);
  }
}

const manifests = manifestsBelow(process.argv[2]);
for (const manifest of manifests) await checkValues(manifest);
if (!problems.length) checkFields(manifests);
if (problems.length || !manifests.length) {
  console.error(problems.join("\n") || "no manifests found");
  process.exit(1);
}
for (const { name, manifest } of manifests) console.log(`  ${name}: ${manifest.kind} ${manifest.metadata.name}`);
