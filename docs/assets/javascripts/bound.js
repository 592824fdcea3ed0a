// Opens a bound number: shows where it comes from, in each framework that it
// speaks of. Without this script a number is plain text.
(() => {
  "use strict";

  const NOT_YET = "not measured yet";
  const DEVICES = { cpu: "CPU", gpu: "GPU" };
  const FRAMEWORKS = { keras: "Keras", torch: "PyTorch" };

  // The site's base, as Material writes it into every page.
  function base() {
    const config = JSON.parse(document.getElementById("__config").textContent);
    return new URL(config.base.replace(/\/?$/, "/"), location.href);
  }

  // An element with text or elements in it.
  function make(tag, ...content) {
    const element = document.createElement(tag);
    element.append(...content);
    return element;
  }

  function link(path, ...content) {
    const element = make("a", ...content);
    element.href = new URL(path, base());
    return element;
  }

  // Four significant digits, thousands separated, as in the tables.
  function number(value) {
    if (Number.isInteger(value)) return value.toLocaleString("en");
    const digits = 3 - Math.floor(Math.log10(Math.abs(value)));
    const places = Math.min(20, Math.max(0, digits));
    return value.toLocaleString("en", {
      minimumFractionDigits: places,
      maximumFractionDigits: places,
    });
  }

  // A value with its interval, or whether a judgement holds.
  function describe(entry) {
    if (!entry) return "not there";
    if ("holds" in entry) return entry.holds ? "holds" : "does not hold";
    if (entry.value === null) return `nothing: ${entry.reason}`;
    const unit = ["ratio", "count"].includes(entry.unit) ? "" : entry.unit;
    let text = `${number(entry.value)} ${unit}`.trim();
    if (entry.ci) text += `, between ${entry.ci.map(number).join(" and ")}`;
    return text;
  }

  function rows(result, key) {
    const find = (found) => found.values[key] || found.judgements[key];
    const entry = find(result);
    const { provenance, fresh } = result;
    const list = [["Measured", describe(entry)]];
    if (entry && entry.unit) list.push(["Unit", entry.unit]);
    if (entry && entry.n) list.push(["Replicates", number(entry.n)]);
    if (entry && entry.exact) list.push(["Exact", "the same in every run"]);
    if (entry && entry.because && Array.isArray(entry.because)) {
      const because = entry.because.map((name) =>
        make("li", make("code", name), `: ${describe(result.values[name])}`));
      list.push(["Because of", make("ul", ...because)]);
    } else if (entry && entry.because) {
      list.push(["Because", entry.because]);
    }
    const versions = Object.entries(provenance.versions);
    list.push(
      ["On", provenance.device],
      ["With", versions.map((pair) => pair.join(" ")).join(", ")],
      ["Date", provenance.date],
    );
    if (!result.committed) list.push(["State", "not accepted yet"]);
    if (result.stale) list.push(["State", "with an earlier version"]);
    if (fresh) {
      const { date, device } = fresh.provenance;
      list.push(["Measured again", describe(find(fresh))]);
      list.push(["Again on", `${date}, ${device}`]);
    } else {
      list.push(["Measured again", "not in this build"]);
    }
    return list;
  }

  // The programs that a reference asks: one, or those of both frameworks.
  function programsOf(name) {
    const both = Object.keys(FRAMEWORKS);
    if (both.includes(name.split("_").pop())) return [name];
    return both.map((framework) => `${name}_${framework}`);
  }

  async function content(program, device, key) {
    const file = `${program}.${device}`;
    const framework = FRAMEWORKS[program.split("_").pop()];
    const response = await fetch(new URL(`evidence/${file}.json`, base()));
    if (!response.ok) {
      const address = link(`evidence/${file}.json`, "its result");
      return [make("p", "Could not read ", address, `: ${response.status}`)];
    }
    const result = await response.json();
    const terms = rows(result, key).flatMap(([term, text]) =>
      [make("dt", term), make("dd", text)]);
    const links = make(
      "p",
      link(`downloads/${program}.py`, "Program"), " · ",
      link(`notebooks/${program}/`, "Notebook"), " · ",
      link(`evidence/${result.topic}/#${file}:${key}`, "Evidence"),
    );
    return [make("h3", framework), make("dl", ...terms), links];
  }

  async function fill(body, text, name, key) {
    const [topic, device] = name.split(".");
    const programs = programsOf(topic);
    if (text === NOT_YET) {
      const code = programs.map((program) =>
        link(`downloads/${program}.py`, make("code", program)));
      body.replaceChildren(make(
        "p",
        ...code.flatMap((one, index) => (index ? [" and ", one] : [one])),
        programs.length > 1 ? " have" : " has",
        ` not been run on a ${DEVICES[device] || device} yet. What is measured`,
        " then stands here.",
      ));
      return;
    }
    body.replaceChildren(make("p", "Loading …"));
    try {
      const found = programs.map((one) => content(one, device, key));
      body.replaceChildren(...(await Promise.all(found)).flat());
    } catch (error) {
      body.replaceChildren(make("p", `Could not read it: ${error.message}`));
    }
  }

  function open(data) {
    const [name, key] = data.getAttribute("value").split(":");
    const text = data.textContent.replace(/\s+/g, " ").trim();
    const title = make("h2", text);
    title.id = "guide-opened-title";
    const close = make("button", "Close");
    close.type = "button";
    const body = make("div");
    const dialog = make(
      "dialog", title, make("p", make("code", key)), body, close,
    );
    dialog.className = "guide-opened md-typeset";
    dialog.setAttribute("aria-labelledby", title.id);
    close.addEventListener("click", () => dialog.close());
    // A click beside the dialog is a click on its backdrop.
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      data.focus();
    });
    // Keys that Material takes for the page are not meant for it now.
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    document.body.append(dialog);
    dialog.showModal();
    fill(body, text, name, key);
  }

  for (const data of document.querySelectorAll("article data[value*=':']")) {
    data.setAttribute("role", "button");
    data.setAttribute("aria-haspopup", "dialog");
    data.tabIndex = 0;
    data.addEventListener("click", () => open(data));
    data.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(data);
    });
  }
})();
