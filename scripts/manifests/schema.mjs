// Has ajv compile the schema of the configuration in its strict mode. Usage: node schema.mjs SCHEMA
import { readFileSync } from "node:fs";
import Ajv from "ajv/dist/2020.js";

const schema = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ajv = new Ajv.default({ strict: true });
const plugin = ajv.compile(schema);
const route = ajv.compile({ $ref: `${schema.$id}#/$defs/route` });
const sample = { required_claims: ["email"], claims: { email: { first_of: ["email", ["emails", 0]] } } };
const verdicts = [plugin(sample), plugin({ ...sample, issuer: 5 }), route({ issuer: "i" }), route(sample)];
if (verdicts.join() !== "true,false,true,false") {
  console.error(`${process.argv[2]}: ajv judges samples wrongly: ${verdicts}`);
  process.exit(1);
}
console.log(`  ajv takes ${process.argv[2]} in strict mode`);
