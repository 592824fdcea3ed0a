import { count, show, showChance, whole } from "./calculator-model.js";

export const title = "Chance that a batch holds no example of a class";
export const snippet = "chance_without_class";

export const fields = [
  {
    name: "batch_size",
    label: "Examples in the batch",
    start: 32,
    allowed: whole(1),
  },
  {
    name: "num_examples",
    label: "Examples in the data",
    start: 10000,
    allowed: whole(1),
    // The loop below takes a fraction of a second with these.
    most: 1e12,
  },
  {
    name: "num_of_class",
    label: "Of these, in the class",
    start: 100,
    allowed: whole(0),
  },
];

export function calculate({ batch_size, num_examples, num_of_class }) {
  for (const [name, number] of Object.entries({ batch_size, num_of_class })) {
    if (number > num_examples) {
      throw new RangeError(
        `${name} is ${number}; the data hold only ${num_examples} examples`,
      );
    }
  }
  const fewer = Math.min(batch_size, num_of_class);
  const more = Math.max(batch_size, num_of_class);
  let chance = 1;
  for (let placed = 0; placed < fewer && chance > 0; placed += 1) {
    const left = num_examples - placed;
    chance *= (left - more) / left;
  }
  return chance;
}

export function words(given, chance) {
  const { batch_size, num_examples, num_of_class } = given;
  const mean = batch_size * (num_of_class / num_examples);
  const impossible = batch_size > num_examples - num_of_class;
  const said = chance === 0 && !impossible
    ? "less than 1 in 10³⁰⁰"
    : showChance(chance);
  return `A batch of ${show(batch_size)} out of ` +
    `${count(num_examples, "example")}, ${show(num_of_class)} of them of the ` +
    `class, holds none of these with a chance of ${said}. On average it ` +
    `holds ${show(mean)}.`;
}
