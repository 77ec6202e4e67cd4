// A form for each call, made when the call is unfolded. Without scripts the page has its curl lines.
"use strict";
const token = document.getElementById("token");
document.getElementById("try").hidden = false;

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function form(details) {
  const { method, path, media } = details.dataset;
  const address = element("input", { value: path, spellcheck: false });
  const body = media ? element("textarea", { rows: 4, value: media === "application/json" ? "{}" : "", spellcheck: false }) : null;
  const answer = element("pre", { tabIndex: 0, hidden: true });
  answer.setAttribute("role", "status");
  const made = element("form", {}, element("label", {}, `${method} `, address));
  if (body) made.append(element("label", {}, `Body, ${media} `, body));
  made.append(element("button", {}, "Send"), answer);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    answer.hidden = false;
    answer.textContent = "…";
    const headers = token.value ? { Authorization: `Bearer ${token.value.trim()}` } : {};
    if (body) headers["Content-Type"] = media;
    try {
      const got = await fetch(address.value, { method, headers, body: body?.value });
      const text = await got.text();
      let shown = text;
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON */ }
      answer.textContent = `${got.status} ${got.statusText}\n${shown.slice(0, 20000)}`;
    } catch (error) {
      answer.textContent = `The request was not sent: ${error.message}`;
    }
  });
  return made;
}

document.addEventListener("toggle", (event) => {
  const details = event.target;
  if (details.open && details.dataset.method && !details.querySelector("form")) details.lastElementChild.prepend(form(details));
}, true);
