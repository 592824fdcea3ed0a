import { above, show, whole } from "./calculator-model.js";

export const title = "Updates and examples around the critical batch size";
export const snippet = "predict_updates";

export const fields = [
  {
    name: "batch_size",
    label: "Examples per update",
    start: 256,
    allowed: whole(1),
  },
  {
    name: "min_updates",
    label: "Fewest updates, with a huge batch",
    start: 1000,
    allowed: above(0),
  },
  {
    name: "critical_batch_size",
    label: "Critical batch size",
    unit: "examples",
    start: 64,
    allowed: above(0),
  },
];

export function calculate({ batch_size, min_updates, critical_batch_size }) {
  const updates = min_updates * (1 + critical_batch_size / batch_size);
  return { updates, examples: updates * batch_size };
}

export function words(given, { updates, examples }) {
  const { batch_size, critical_batch_size } = given;
  const ratio = batch_size / critical_batch_size;
  const where = ratio === 1
    ? "that is the critical size"
    : `${show(ratio)} times the critical size`;
  return `At a batch size of ${show(batch_size)}, ${where}, the target takes ` +
    `about ${show(Math.round(updates))} updates and ` +
    `${show(Math.round(examples))} examples: ${show(1 + 1 / ratio)} times ` +
    `the fewest updates and ${show(1 + ratio)} times the fewest examples.`;
}

// What the same target takes at sizes around the one that was given.
export function table({ batch_size, min_updates, critical_batch_size }) {
  const rows = [1 / 16, 1 / 4, 1, 4, 16]
    .map((factor) => Math.round(batch_size * factor))
    .filter((size) => size >= 1)
    .map((size) => {
      const given = { batch_size: size, min_updates, critical_batch_size };
      const { updates, examples } = calculate(given);
      return [size, Math.round(updates), Math.round(examples)].map(show);
    });
  return { head: ["Batch size", "Updates", "Examples"], rows };
}
