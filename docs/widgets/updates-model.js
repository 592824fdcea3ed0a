import { count, show, whole } from "./calculator-model.js";

export const title = "Updates per epoch and per run";
export const snippet = "count_updates";

export const fields = [
  {
    name: "num_examples",
    label: "Training examples",
    start: 1600,
    allowed: whole(1),
  },
  {
    name: "batch_size",
    label: "Examples per update",
    start: 256,
    allowed: whole(1),
  },
  { name: "num_epochs", label: "Epochs", start: 10, allowed: whole(1) },
  {
    name: "drop_last",
    label: "A smaller last batch",
    options: [[false, "is kept"], [true, "is left out"]],
    start: false,
  },
];

export function calculate({ num_examples, batch_size, num_epochs, drop_last }) {
  const leftOver = num_examples % batch_size;
  let updates = (num_examples - leftOver) / batch_size;
  if (leftOver && !drop_last) updates += 1;
  return updates * num_epochs;
}

export function words(given, updates) {
  const { num_examples, batch_size, num_epochs, drop_last } = given;
  const leftOver = num_examples % batch_size;
  const examples = count(num_examples, "example");
  if (updates === 0) {
    return `${examples} fill no batch of ${show(batch_size)}: 0 updates, ` +
      "and nothing is trained.";
  }
  let rest = "all batches are full";
  if (leftOver && drop_last) {
    const are = leftOver === 1 ? "is" : "are";
    rest = `${count(leftOver, "example")} of each epoch ${are} left out`;
  } else if (leftOver) {
    rest = `the last batch holds ${count(leftOver, "example")}`;
  }
  return `${examples} in batches of ${show(batch_size)} ` +
    `${num_examples === 1 ? "makes" : "make"} ` +
    `${count(updates / num_epochs, "update")} per epoch; ${rest}. ` +
    `${count(num_epochs, "epoch")} ${num_epochs === 1 ? "makes" : "make"} ` +
    `${count(updates, "update")}.`;
}
