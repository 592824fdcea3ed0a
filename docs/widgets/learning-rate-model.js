import { above, count, show, whole } from "./calculator-model.js";

export const title = "Learning rate after a change of batch size";
export const snippet = "scale_learning_rate";

export const fields = [
  {
    name: "learning_rate",
    label: "Learning rate so far",
    start: 0.1,
    allowed: above(0),
  },
  {
    name: "batch_size",
    label: "Examples per update so far",
    start: 64,
    allowed: whole(1),
  },
  {
    name: "new_batch_size",
    label: "Examples per update from now on",
    start: 256,
    allowed: whole(1),
  },
  {
    name: "rule",
    label: "Rule",
    options: [
      ["linear", "linear: SGD, momentum"],
      ["root", "root: Adam"],
    ],
    start: "linear",
  },
];

const POWERS = { linear: 1, root: 0.5 };

export function calculate(given) {
  const { learning_rate, batch_size, new_batch_size, rule } = given;
  return learning_rate * (new_batch_size / batch_size) ** POWERS[rule];
}

export function words(given, rate) {
  const { learning_rate, batch_size, new_batch_size, rule } = given;
  const factor = (new_batch_size / batch_size) ** POWERS[rule];
  const by = { linear: "the linear rule", root: "the square-root rule" }[rule];
  if (factor === 1) {
    return `The batch stays as it is, and so does the rate: ${show(rate)}.`;
  }
  return `For ${count(new_batch_size, "example")} per update instead of ` +
    `${show(batch_size)}, begin with ${show(rate)}: ${by} multiplies ` +
    `${show(learning_rate)} by ${show(factor)}. Try ${show(rate / 2)} and ` +
    `${show(2 * rate)} as well.`;
}
