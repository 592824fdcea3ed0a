// Turns <div data-calculator="NAME"> into a form, as NAME-model.js declares
// it. Without this script, what stands in the element is read instead.
import { evaluate, read } from "./calculator-model.js";

// An element with attributes and with text or elements in it.
export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...content);
  return element;
}

// A label above what is typed or chosen; `row` also holds the message.
export function makeRow(id, label, control) {
  const error = make("p", { class: "calculator-error", id: `${id}-error` });
  control.id = id;
  control.setAttribute("aria-describedby", error.id);
  const row = make(
    "div", { class: "calculator-row" },
    make("label", { for: id }, ...label), control, error,
  );
  return { row, control, error };
}

function makeField(name, field) {
  const control = field.options
    ? make("select", {}, ...field.options.map(([value, text]) =>
      make("option", { value }, text)))
    : make("input", { autocomplete: "off", inputmode: "decimal", type: "text" });
  control.value = field.start;
  const unit = field.unit ? `, in ${field.unit} ` : " ";
  const label = [field.label, unit, make("code", {}, field.name)];
  return makeRow(`${name}-${field.name}`, label, control);
}

// Takes over what a link to a calculation says of the fields.
function fillFromAddress(name, rows) {
  const asked = new URLSearchParams(location.search);
  for (const [key, { control }] of Object.entries(rows)) {
    const text = asked.get(`${name}.${key}`);
    if (text === null) continue;
    const start = control.value;
    control.value = text;
    // A choice that there is not; a wrong number shows its message.
    if (control.tagName === "SELECT" && !control.value) control.value = start;
  }
}

function address(name, rows) {
  const said = Object.entries(rows).map(([key, { control }]) =>
    [`${name}.${key}`, control.value.trim()]);
  return `?${new URLSearchParams(said)}#${name}`;
}

async function build(place) {
  const name = place.dataset.calculator;
  const model = await import(`./${name}-model.js`);
  const rows = Object.fromEntries(model.fields.map((field) =>
    [field.name, makeField(name, field)]));
  const title = make("p", { class: "calculator-title", id: name }, model.title);
  const said = make("p", { class: "calculator-result", "aria-live": "polite" });
  const link = make("a", {}, "Link to this calculation");
  const form = make(
    "form", { "aria-labelledby": name, class: "calculator-form" },
    title, ...Object.values(rows).map(({ row }) => row),
    said, make("p", { class: "calculator-link" }, link),
  );

  // The values, or null where a field is wrong; messages stand beside it.
  function readAll() {
    const given = {};
    let good = true;
    for (const field of model.fields) {
      const { value, error } = read(field, rows[field.name].control.value);
      given[field.name] = value;
      tell(field.name, error);
      good &&= !error;
    }
    return good ? given : null;
  }

  function tell(key, message = "") {
    const { control, error } = rows[key];
    error.textContent = message;
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  function update() {
    const given = readAll();
    let text = "No result: see the marked field.";
    try {
      if (given) text = model.words(given, evaluate(model, given));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // Each field is good alone; the message begins with one of them.
      tell(error.message.match(/^\w+/)[0], error.message);
    }
    said.textContent = text;
    link.href = address(name, rows);
    form.dispatchEvent(new CustomEvent("calculated", { detail: given }));
  }

  fillFromAddress(name, rows);
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
  place.replaceChildren(form);
  if (location.hash === `#${name}`) form.scrollIntoView();
  if (model.measured) {
    const { showMeasured } = await import(`./${name}.js`);
    await showMeasured(form, rows, update);
  }
}

for (const place of document.querySelectorAll("[data-calculator]")) {
  build(place);
}
