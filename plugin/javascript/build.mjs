// Builds a component from a policy in JavaScript:
//
//     node build.mjs SOURCE WIT-FOLDER COMPONENT
//
// The engine is built without clocks, randomness and network: a policy has none of
// them. stdio is included for the text of uncaught errors.

import { readFile, writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const [source, wit, output] = process.argv.slice(2);
if (output === undefined) {
  console.error("usage: node build.mjs SOURCE WIT-FOLDER COMPONENT");
  process.exit(2);
}
try {
  await readFile(source);
  const { component } = await componentize({
    sourcePath: source,
    witPath: wit,
    worldName: "policy",
    disableFeatures: ["random", "clocks", "http", "fetch-event"],
  });
  await writeFile(output, component);
} catch (error) {
  console.error(`${source}: ${error.message}`);
  process.exit(1);
}
