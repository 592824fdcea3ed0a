import { count, show, whole } from "./calculator-model.js";

export const title = "Accumulation plan for a target batch";
export const snippet = "shard_global_batch";

export const fields = [
  {
    name: "global_batch_size",
    label: "Target: examples per update",
    start: 1024,
    allowed: whole(1),
  },
  { name: "num_devices", label: "Devices", start: 4, allowed: whole(1) },
  {
    name: "max_micro_batch_size",
    label: "Most examples that fit on a device",
    start: 48,
    allowed: whole(1),
  },
];

export function calculate(given) {
  const { global_batch_size, num_devices, max_micro_batch_size } = given;
  const fewest = Math.floor(global_batch_size / num_devices);
  const most = Math.ceil(global_batch_size / num_devices);
  if (fewest < 1) {
    throw new RangeError(
      `global_batch_size=${global_batch_size} leaves some of ` +
      `num_devices=${num_devices} without an example; ` +
      `give at least ${num_devices} examples`,
    );
  }
  const steps = Math.ceil(most / max_micro_batch_size);
  if (fewest < steps) {
    throw new RangeError(
      `global_batch_size=${global_batch_size} on num_devices=${num_devices} ` +
      `takes ${steps} forward passes of ` +
      `max_micro_batch_size=${max_micro_batch_size}, but a device has ` +
      `${fewest} examples; give a multiple of ${num_devices}`,
    );
  }
  return {
    device_batch_size: most,
    accumulation_steps: steps,
    micro_batch_size: Math.ceil(most / steps),
  };
}

export function words(given, plan) {
  const { global_batch_size, num_devices } = given;
  const { device_batch_size, accumulation_steps, micro_batch_size } = plan;
  const even = global_batch_size % num_devices === 0;
  const whole = even && device_batch_size % accumulation_steps === 0;
  const upTo = whole ? "" : "at most ";
  const passes = count(accumulation_steps, "forward pass", "forward passes");
  let text = `${count(num_devices, "device")} with ` +
    `${even ? "" : "at most "}${count(device_batch_size, "example")} each, ` +
    `in ${passes} of ${upTo}${show(micro_batch_size)}: ` +
    `${show(global_batch_size)} in an update.`;
  if (accumulation_steps === 1) text += " Nothing has to be accumulated.";
  if (!whole) {
    text += " The parts are not all of one size: weight the loss of each by " +
      "its share of the batch.";
  }
  return text;
}
