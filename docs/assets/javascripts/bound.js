// Opens a bound number: shows where it comes from. Without this script a
// number is plain text.
(() => {
  "use strict";

  const NOT_YET = "not measured yet";
  const DEVICES = { cpu: "CPU", gpu: "GPU" };

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

  function content(result, key) {
    const name = result.program;
    const terms = rows(result, key).flatMap(([term, text]) =>
      [make("dt", term), make("dd", text)]);
    const anchor = `${name}.${result.on}:${key}`;
    const links = make(
      "p",
      link(`downloads/${name}.py`, "Program"), " · ",
      link(`notebooks/${name}/`, "Notebook"), " · ",
      link(`evidence/${result.topic}/#${anchor}`, "Evidence"),
    );
    return [make("dl", ...terms), links];
  }

  async function load(name) {
    const response = await fetch(new URL(`evidence/${name}.json`, base()));
    if (!response.ok) throw new Error(`${response.status}`);
    const result = await response.json();
    return { ...result, on: name.split(".").pop() };
  }

  async function fill(body, text, name, key) {
    if (text === NOT_YET) {
      const [program, device] = name.split(".");
      body.replaceChildren(make(
        "p",
        "The program ", link(`downloads/${program}.py`, make("code", program)),
        ` has not been run on a ${DEVICES[device] || device} yet. When it has, `,
        "what it measured stands here.",
      ));
      return;
    }
    body.replaceChildren(make("p", "Loading …"));
    try {
      body.replaceChildren(...content(await load(name), key));
    } catch (error) {
      const address = link(`evidence/${name}.json`, "its result");
      const why = `: ${error.message}`;
      body.replaceChildren(make("p", "Could not read ", address, why));
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
