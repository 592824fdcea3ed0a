// Runs a calculator's model, as a browser would: MODEL.js, and a JSON list on
// standard input of {"given": values}, {"field": name, "text": what is typed}
// or {"call": name, "with": arguments}. Prints what the model declares, and
// what came of each.
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import { pathToFileURL } from "node:url";

const widgets = new URL("../../docs/widgets/", import.meta.url);
const shared = await import(new URL("calculator-model.js", widgets));
const model = await import(pathToFileURL(argv[2]));

function run({ given, field, text, call, with: values }) {
  if (call) return model[call](...values);
  if (field) {
    return shared.read(model.fields.find(({ name }) => name === field), text);
  }
  try {
    const result = shared.evaluate(model, given);
    return { result, words: model.words(given, result) };
  } catch (error) {
    // Any other error is a mistake in the model.
    if (!(error instanceof RangeError)) throw error;
    return { error: error.message };
  }
}

const found = JSON.parse(readFileSync(0, "utf-8")).map(run);
const { fields, snippet } = model;
console.log(JSON.stringify({ fields, snippet, found }));
