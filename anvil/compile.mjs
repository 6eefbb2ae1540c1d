// Compile anvil/sources/*.sol with npm's solc and print {name: {abi, bytecode}} as JSON. Usage: node anvil/compile.mjs
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");
const directory = join(dirname(fileURLToPath(import.meta.url)), "sources");
const sources = Object.fromEntries(
  readdirSync(directory).sort().map((file) => [file, { content: readFileSync(join(directory, file), "utf8") }]),
);
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources,
      settings: {
        evmVersion: "cancun",
        optimizer: { enabled: true, runs: 200 },
        // no hash of the source in the code: it would change with every comment
        metadata: { bytecodeHash: "none", appendCBOR: false },
        outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
      },
    }),
  ),
);
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  process.stderr.write(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const artifacts = {};
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    artifacts[name] = { abi: contract.abi, bytecode: "0x" + contract.evm.bytecode.object };
  }
}
process.stdout.write(JSON.stringify(artifacts, null, 1) + "\n");
