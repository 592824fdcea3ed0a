// Turns <div data-calculator="NAME"> into a form, as NAME-model.js declares
// it. Without this script, what stands in the element is read instead.

const site = new URL("../", import.meta.url);

// An element with attributes and with text or elements in it.
function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...content);
  return element;
}

// A label, what is typed or chosen, and room for what is wrong with it.
function makeRow(name, key, label, control) {
  const id = `calculator-${name}-${key}`;
  const error = make("p", { "aria-live": "polite", id: `${id}-error` });
  error.className = "calculator-error";
  control.id = id;
  control.setAttribute("aria-describedby", error.id);
  const row = make(
    "div", { class: "calculator-row" },
    make("label", { for: id }, ...label), control, error,
  );
  return { row, control, error };
}

// A choice; options are pairs of a value and its text.
const makeSelect = (options) => make("select", {}, ...options.map(
  ([value, text]) => make("option", { value }, text)));

function makeField(name, field) {
  const control = field.options
    ? makeSelect(field.options)
    : make("input", { autocomplete: "off", inputmode: "decimal" });
  control.value = field.start;
  const unit = field.unit ? `, in ${field.unit} ` : " ";
  const label = [field.label, unit, make("code", {}, field.name)];
  return makeRow(name, field.name, label, control);
}

function makeTable({ head, rows, note, evidence }) {
  const cells = (tag, row) => row.map((text) => make(tag, {}, text));
  const parts = [make(
    "table", { class: "calculator-table" },
    make("thead", {}, make("tr", {}, ...cells("th", head))),
    make("tbody", {}, ...rows.map((row) =>
      make("tr", {}, ...cells("td", row)))),
  )];
  if (note) {
    const link = make("a", { href: new URL(evidence, site) }, "Evidence");
    parts.push(make("p", {}, `${note} `, link));
  }
  return parts;
}

// What a link to a calculation says of a field; nothing if it says nothing.
function fillFromAddress(name, key, { control }) {
  const text = new URLSearchParams(location.search).get(`${name}.${key}`);
  const chosen = control.options && [...control.options];
  if (chosen && !chosen.some(({ value }) => value === text)) return false;
  if (text === null) return false;
  control.value = text;
  return true;
}

function address(name, rows) {
  const said = Object.entries(rows).map(([key, { control }]) =>
    [`${name}.${key}`, control.value.trim()]);
  return `?${new URLSearchParams(said)}#calculator-${name}`;
}

async function build(place) {
  const name = place.dataset.calculator;
  // Loaded here, so that a page without a calculator loads neither.
  const [{ evaluate, read }, model] = await Promise.all(
    [import("./calculator-model.js"), import(`./${name}-model.js`)]);
  const id = `calculator-${name}`;
  const rows = {};
  let linked = false;
  for (const field of model.fields) {
    rows[field.name] = makeField(name, field);
    linked = fillFromAddress(name, field.name, rows[field.name]) || linked;
  }
  let presets = {};
  const title = make("p", { class: "calculator-title", id }, model.title);
  const result = make("p", { "aria-live": "polite" });
  result.className = "calculator-result";
  const table = make("div");
  const link = make("a", {}, "Link to this calculation");
  const form = make(
    "form", { "aria-labelledby": id },
    title, ...Object.values(rows).map(({ row }) => row), result, table,
    make("p", { class: "calculator-link" }, link),
  );

  function tell(key, message = "") {
    const { control, error } = rows[key];
    error.textContent = message;
    if (message) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  // The values, or null where one is wrong; its field says why.
  function readAll() {
    const given = {};
    let wrong = false;
    for (const field of model.fields) {
      const { value, error } = read(field, rows[field.name].control.value);
      given[field.name] = value;
      tell(field.name, error);
      wrong ||= Boolean(error);
    }
    return wrong ? null : given;
  }

  function update() {
    const given = readAll();
    let text = "No result: see the marked field.";
    let shown = null;
    try {
      if (given) {
        text = model.words(given, evaluate(model, given));
        const chosen = rows.preset && presets[rows.preset.control.value];
        shown = model.table?.(given, chosen) ?? null;
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // Each field is good alone; the message begins with one of them.
      tell(error.message.match(/^\w+/)[0], error.message);
    }
    result.textContent = text;
    table.replaceChildren(...(shown ? makeTable(shown) : []));
    link.href = address(name, rows);
  }

  // What was measured comes from the results that the site shows.
  async function offerPresets() {
    const found = await Promise.all(model.results.map(async (file) => {
      const response = await fetch(new URL(`evidence/${file}.json`, site));
      if (!response.ok) throw new Error(`${file}: ${response.status}`);
      return response.json();
    }));
    presets = model.presets(found);
    const labels = Object.keys(presets).map((label) => [label, label]);
    const select = makeSelect([["", "your own"], ...labels]);
    const row = makeRow(name, "preset", ["Network"], select);
    const fill = () => {
      const { given = {} } = presets[select.value] ?? {};
      for (const [key, number] of Object.entries(given)) {
        rows[key].control.value = number;
      }
    };
    select.addEventListener("input", fill);
    // With other numbers it is not the network that was measured.
    for (const key of model.own) {
      rows[key].control.addEventListener("input", () => {
        select.value = "";
      });
    }
    title.after(row.row);
    rows.preset = row;
    if (linked) {
      fillFromAddress(name, "preset", row);
    } else {
      select.selectedIndex = labels.length;
      fill();
    }
  }

  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  try {
    if (model.results) await offerPresets();
  } catch (error) {
    title.after(make("p", {}, `Could not read what was measured: ${error}`));
  }
  update();
  place.replaceChildren(form);
  if (location.hash === `#${id}`) form.scrollIntoView();
}

for (const place of document.querySelectorAll("[data-calculator]")) {
  build(place);
}
