// Filters the ledger of claims. What is chosen stands in the address, so that
// a filtered list can be linked. Without this script the list is whole.
(() => {
  "use strict";

  const form = document.querySelector("form.guide-filter");
  if (!form) return;
  const claims = [...document.querySelectorAll(".guide-claim")];
  const headings = claims
    .map((claim) => claim.previousElementSibling)
    .filter((before) => before && before.matches("h2"));
  const choices = [...form.querySelectorAll("select")];
  const words = form.elements.words;
  const status = form.querySelector("[role=status]");
  // What each claim says, in lower case; read when it is first asked for.
  const texts = new Map();

  function textOf(claim) {
    if (!texts.has(claim)) texts.set(claim, claim.textContent.toLowerCase());
    return texts.get(claim);
  }

  // A claim may have several sources; all other data are one choice.
  function has(claim, name, value) {
    const found = claim.dataset[name];
    const all = name === "source" ? found.split(" ") : [found];
    return all.includes(value);
  }

  function show() {
    const asked = choices.filter((choice) => choice.value);
    const parts = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const claim of claims) {
      const fits =
        asked.every(({ name, value }) => has(claim, name, value)) &&
        (!parts.length || parts.every((part) => textOf(claim).includes(part)));
      claim.hidden = !fits;
      shown += fits;
    }
    for (const heading of headings) {
      let next = heading.nextElementSibling;
      while (next && next.matches(".guide-claim") && next.hidden) {
        next = next.nextElementSibling;
      }
      heading.hidden = !(next && next.matches(".guide-claim"));
    }
    status.textContent = shown
      ? `${shown} of ${claims.length} claims`
      : "No claim fits. Show all, or choose less.";
  }

  // Into the address goes what is chosen, and nothing else.
  function remember() {
    const address = new URL(location.href);
    for (const { name, value } of [...choices, words]) {
      if (value.trim()) address.searchParams.set(name, value.trim());
      else address.searchParams.delete(name);
    }
    address.hash = "";
    history.replaceState(history.state, "", address);
  }

  function recall() {
    const asked = new URL(location.href).searchParams;
    for (const field of [...choices, words]) {
      field.value = asked.get(field.name) || "";
      // A choice that there is not leaves nothing chosen.
      if (field.selectedIndex === -1) field.value = "";
    }
    show();
  }

  // Browsers refuse to change the address at every key.
  let timer;
  function change() {
    show();
    clearTimeout(timer);
    timer = setTimeout(remember, 200);
  }

  function showAll() {
    for (const field of [...choices, words]) field.value = "";
    clearTimeout(timer);
    show();
    remember();
  }

  // Whoever comes for one claim or topic sees it, whatever is chosen.
  function reveal() {
    const target = document.getElementById(
      decodeURIComponent(location.hash.slice(1)),
    );
    if (!target || !target.closest("[hidden]")) return;
    const { hash } = location;
    showAll();
    history.replaceState(history.state, "", hash);
    target.scrollIntoView();
  }

  form.addEventListener("input", change);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    showAll();
    words.focus();
  });
  // The counts above are links to the same page with another choice.
  for (const link of document.querySelectorAll(".guide-counts a")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      clearTimeout(timer);
      history.pushState(history.state, "", link.href);
      recall();
    });
  }
  addEventListener("popstate", recall);
  addEventListener("hashchange", reveal);

  form.hidden = false;
  recall();
  reveal();
})();
