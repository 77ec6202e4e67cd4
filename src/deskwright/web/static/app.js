/* What pages do beyond links and forms: live rows, local times, copying, selections. All works without it, too. */
"use strict";

const HEAR_AGAIN = 2000;

/* --- times in the reader's own zone --- */
const told = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (!isNaN(at) && !time.title) {
      time.title = time.textContent;
      time.textContent = told.format(at);
    }
  }
}

/* --- copying commands --- */
function copyButtons(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied.");
  }
  for (const menu of document.querySelectorAll("details.menu[open], details.nav-toggle[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open], details.nav-toggle[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

function say(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
}

/* --- selections: kept while the list under them is renewed --- */
const selected = new Set();
function boxes() { return [...document.querySelectorAll("input[data-select]")]; }
function selectionChanged() {
  for (const box of boxes()) box.checked ? selected.add(box.value) : selected.delete(box.value);
  const all = document.querySelector("input[data-select-all]");
  if (all) {
    const chosen = boxes().filter((b) => b.checked).length;
    all.checked = chosen > 0 && chosen === boxes().length;
    all.indeterminate = chosen > 0 && !all.checked;
  }
  for (const bar of document.querySelectorAll("[data-selection]")) {
    const count = boxes().filter((b) => b.checked).length;
    for (const place of bar.querySelectorAll("[data-selected-count]")) place.textContent = String(count);
    for (const button of bar.querySelectorAll("button")) button.disabled = count === 0;
  }
}
document.addEventListener("change", (event) => {
  if (event.target.matches("input[data-select-all]")) {
    for (const box of boxes()) box.checked = event.target.checked;
  }
  if (event.target.matches("input[data-select], input[data-select-all]")) selectionChanged();
  const form = event.target.closest("form[data-send]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
});

/* --- live --- */
let source = null, watched = "", late = 0;
function rowsShown() { return [...document.querySelectorAll("[data-row]")].map((row) => row.dataset.row).slice(0, 200); }
function liveState(text, lost) {
  for (const place of document.querySelectorAll("[data-live-state]")) {
    place.hidden = false;
    place.classList.toggle("lost", lost);
    place.querySelector("[data-live-text]").textContent = text;
  }
}
function listen() {
  const main = document.querySelector("[data-live]");
  const wanted = main && main.dataset.live ? main.dataset.live + "?rows=" + rowsShown().join(",") : "";
  if (wanted === watched && source && source.readyState !== 2) return;
  if (source) source.close();
  watched = wanted;
  if (!wanted) return;
  source = new EventSource(wanted);
  source.addEventListener("begin", () => {
    liveState("Live", false);
    if (late) { late = 0; htmx.trigger(document.body, "live"); }
  });
  source.addEventListener("row", (event) => {
    const row = JSON.parse(event.data), place = document.querySelector(`[data-row="${row.id}"]`);
    if (!place) return;
    if (row.html) htmx.swap(place, row.html, { swapStyle: "morph:outerHTML" }, { contextElement: place });
    else htmx.trigger(document.body, "live");
  });
  source.addEventListener("changed", () => htmx.trigger(document.body, "live"));
  source.addEventListener("ended", () => { source.close(); location.reload(); });
  source.onerror = () => {
    late += 1;
    liveState("Connecting again", true);
    if (source.readyState === 2) setTimeout(() => { watched = ""; listen(); }, HEAR_AGAIN);
  };
}
addEventListener("pagehide", () => source && source.close());
addEventListener("pageshow", (event) => { if (event.persisted) { watched = ""; listen(); } });

/* --- htmx --- */
function renewed(root) {
  localTimes(root);
  copyButtons(root);
  for (const box of boxes()) if (selected.has(box.value)) box.checked = true;
  selectionChanged();
}
document.addEventListener("htmx:afterSettle", (event) => { renewed(event.detail.elt.parentNode || document); listen(); });
document.addEventListener("htmx:responseError", () => say("That did not work. Try again shortly."));
document.addEventListener("htmx:sendError", () => say("The service does not answer."));
if (window.Idiomorph) {
  // What a person has opened, chosen or is typing stays as it is when the page around it is renewed.
  Idiomorph.defaults.ignoreActiveValue = true;
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
    !(name === "open" && node.tagName === "DETAILS") && !(name === "checked" && node.matches("[data-select]"));
}
document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.classList.add("js");
  renewed(document);
  listen();
  const errors = document.getElementById("errors");
  if (errors) errors.focus();
});
