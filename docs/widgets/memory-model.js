import { above, atLeast, count, show, whole } from "./calculator-model.js";

export const title = "Memory of a batch, and the largest batch";
export const snippet = "predict_memory";

export const fields = [
  {
    name: "fixed",
    label: "Whatever the batch",
    unit: "MB",
    start: 100,
    allowed: atLeast(0),
  },
  {
    name: "per_example",
    label: "For each example",
    unit: "MB",
    start: 5,
    allowed: above(0),
  },
  {
    name: "batch_size",
    label: "Examples of one pass",
    start: 64,
    allowed: whole(1),
  },
  {
    name: "memory",
    label: "Memory of the device",
    unit: "MB",
    start: 8000,
    allowed: atLeast(0),
  },
];

export function calculate({ fixed, per_example, batch_size, memory }) {
  return {
    needed: fixed + batch_size * per_example,
    largest_batch: Math.max(0, Math.trunc((memory - fixed) / per_example)),
  };
}

export function words(given, { needed, largest_batch }) {
  const { batch_size, memory } = given;
  const most = largest_batch
    ? `hold at most ${count(largest_batch, "example")}`
    : "do not hold a single one";
  return `A batch of ${count(batch_size, "example")} needs about ` +
    `${show(needed)} MB; ${show(memory)} MB ${most}.`;
}

// What the guide measured, beside which a prediction can be put.
export const results = ["memory_keras.cpu", "memory_torch.cpu"];
// The fields that say which network it is.
export const own = ["fixed", "per_example"];

const NETWORKS = {
  mlp: "Perceptron",
  cnn: "Convolutional network",
  transformer: "Transformer",
};
const FRAMEWORKS = { memory_keras: "Keras", memory_torch: "PyTorch" };

// The networks that were measured, with the numbers that predict them.
export function presets(found) {
  return Object.fromEntries(Object.keys(NETWORKS).flatMap((kind) =>
    found.map(({ program, values, provenance }) => {
      const { BATCH_SIZES, BUDGETS_MIB, SEARCH_MULTIPLE } = provenance.settings;
      const rounded = (number) => Number(number.toPrecision(6));
      return [`${NETWORKS[kind]}, ${FRAMEWORKS[program]}`, {
        given: {
          fixed: rounded(values[`fixed.formula.${kind}.adam`].value),
          per_example: rounded(values[`rule.${kind}`].value / 1000),
          batch_size: Math.max(...BATCH_SIZES[kind]),
          memory: rounded(BUDGETS_MIB.cpu * 2 ** 20 / 1e6),
        },
        sizes: BATCH_SIZES[kind],
        intercept: values[`intercept.resident.${kind}`],
        slope: values[`slope.resident.${kind}`],
        // The largest batch was searched for with one network only.
        search: kind === "transformer" &&
          { found: values["search.found"].value, step: SEARCH_MULTIPLE },
      }];
    })));
}

// The line through what processes took, in MB: its mean, and its interval.
function measured({ intercept, slope }, size) {
  const at = (end, other) => end + size * other / 1000;
  return [
    at(intercept.value, slope.value),
    at(intercept.ci[0], slope.ci[0]),
    at(intercept.ci[1], slope.ci[1]),
  ];
}

export function table(given, preset) {
  if (!preset) return null;
  const sizes = [...new Set([...preset.sizes, given.batch_size])];
  const last = Math.max(...preset.sizes);
  const rows = sizes.sort((a, b) => a - b).map((size) => {
    const { needed } = calculate({ ...given, batch_size: size });
    const row = [size, Math.round(needed)].map(show);
    if (size > last) return [...row, "not measured", ""];
    const [mean, ...ends] = measured(preset, size);
    const [low, high] = ends.map(Math.round).map(show);
    return [
      ...row,
      low === high ? low : `${low} to ${high}`,
      (mean / needed).toFixed(2),
    ];
  });
  const { search } = preset;
  return {
    head: ["Batch size", "Predicted, MB", "Measured, MB", "Ratio"],
    rows,
    note: "Measured: a line through the highest memory of processes that " +
      "trained this network with Adam. Ratio: measured over predicted." +
      (search
        ? ` A search in ${show(preset.given.memory)} MB, in steps of ` +
          `${search.step}, found ${search.found} as the largest batch.`
        : ""),
    evidence: "evidence/memory/",
  };
}
