// What all calculators share, without the page: which numbers a field takes,
// how a text is read as a number, and how a number is written.

// Whole numbers up to here are exact, and so are their remainders. A field may
// say that it takes less: `most`.
const LARGEST = 1e15;

// What a field allows: the words of the message, and the test.
export const whole = (least) => ({
  words: `a whole number of at least ${least}`,
  fits: (number) => Number.isInteger(number) && number >= least,
});

export const above = (bound) => ({
  words: `a number above ${bound}`,
  fits: (number) => Number.isFinite(number) && number > bound,
});

export const atLeast = (least) => ({
  words: `a number of at least ${least}`,
  fits: (number) => Number.isFinite(number) && number >= least,
});

// A field with options allows these; any other has `allowed`.
function allowed(field) {
  if (!field.options) return field.allowed;
  const values = field.options.map(([value]) => value);
  return {
    words: values.map((value) => JSON.stringify(value)).join(" or "),
    fits: (value) => values.includes(value),
  };
}

// What is wrong with a value, in the words of the Python function; or null.
function wrong(field, value, said) {
  const { words, fits } = allowed(field);
  return fits(value) ? null : `${field.name} is ${said}; give ${words}`;
}

// Reads what was typed: {value}, or {error} with what is allowed instead.
export function read(field, text) {
  const said = text.trim();
  if (said === "") {
    return { error: wrong(field, undefined, "empty") };
  }
  if (field.options) {
    const found = field.options.find(([value]) => `${value}` === said);
    return found ? { value: found[0] } : { error: wrong(field, said, said) };
  }
  // Thousands may be separated as we write them, or as Python does.
  const plain = said
    .replace("−", "-")
    .replace(/(?<=\d)[\s_](?=\d{3}(?!\d))/g, "")
    .replace(/^(-?\d{1,3}(?:,\d{3})+)(?![\d,])/, (n) => n.replaceAll(",", ""));
  const isNumber = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain);
  const value = isNumber ? Number(plain) : NaN;
  const error = wrong(field, value, said);
  // 1e999 is a number, of a size that no computer has.
  const { most = LARGEST } = field;
  if (isNumber && value > most && (!error || value === Infinity)) {
    return { error: `${field.name} is ${said}; give at most ${show(most)}` };
  }
  return error ? { error } : { value };
}

// The result for values by name; throws where Python raises a ValueError.
export function evaluate(model, given) {
  for (const field of model.fields) {
    const value = given[field.name];
    const message = wrong(field, value, value);
    if (message) throw new RangeError(message);
  }
  return model.calculate(given);
}

// Thousands separated, four digits or all of the whole part.
export function show(number) {
  const size = Math.abs(number);
  if (size !== 0 && (size > LARGEST || size < 1e-4)) {
    const [digits, exponent] = number.toExponential(2).split("e");
    const raised = `${Number(exponent)}`.replace(/./g, (sign) =>
      sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]);
    return `${Number(digits)} × 10${raised}`.replace(/^-/, "−");
  }
  const places = size === 0 ? 0 : 3 - Math.floor(Math.log10(size));
  return number
    .toLocaleString("en", { maximumFractionDigits: Math.max(0, places) })
    .replace(/^-/, "−");
}

// A number of things: 1 update, 7 updates.
export const count = (number, thing, things = `${thing}s`) =>
  `${show(number)} ${number === 1 ? thing : things}`;

// A probability in percent; as one in so many where that is under 1 %.
export function showChance(chance) {
  if (chance === 0 || chance === 1) return `${100 * chance} %`;
  if (chance < 0.01) return `1 in ${show(Math.round(1 / chance))}`;
  return chance > 0.9999 ? "more than 99.99 %" : `${show(100 * chance)} %`;
}
