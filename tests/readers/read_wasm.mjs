// Prints the rows of Parquet files as JSON, one line each, read by parquet-wasm:  node read_wasm.mjs MODULES FILE…
// Floats are printed as {"float": x}: JSON would not tell 1.0 from 1.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, ...files] = process.argv.slice(2);
const load = createRequire(`${modules}/`);
const { readParquet } = load("parquet-wasm");
const { tableFromIPC, DataType } = load("apache-arrow");

const plain = (value, type) => {
  if (value === null) return null;
  if (DataType.isFloat(type)) return { float: value };
  if (DataType.isList(type)) return Array.from(value, (one) => plain(one, type.children[0].type));
  return typeof value === "bigint" ? Number(value) : value;
};

for (const file of files) {
  const table = tableFromIPC(readParquet(new Uint8Array(readFileSync(file))).intoIPCStream());
  for (const row of table) {
    const named = table.schema.fields.map((field) => [field.name, plain(row[field.name], field.type)]);
    console.log(JSON.stringify({ file, row: Object.fromEntries(named) }));
  }
}
