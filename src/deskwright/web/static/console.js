/* The screen of a Cloud PC: opens it, shows it, and says how it stands.

   <main id="console" data-novnc="…/core/rfb.js" data-open="…" data-socket="…">: where noVNC is; what a POST to answers
   {"password", "socket"}, or {"message"}: why not; and the WebSocket's path where that answer names none. */

const page = document.getElementById("console");
const BACKSPACE = 0xff08, RETURN = 0xff0d;

const head = made("div", { className: "console-head" });
const state = made("p", { className: "console-state", role: "status" });
const again = button("Connect again", open);
const keys = button("Ctrl+Alt+Del", () => { rfb?.sendCtrlAltDel(); rfb?.focus(); });
const typing = button("Keyboard", () => entry.focus());
const full = button("Full screen", toggleFull);
const bar = made("div", { className: "console-bar", role: "toolbar", ariaLabel: "Console" });
const hint = made("p", { className: "console-hint", id: "console-hint" });
const screen = made("div", { className: "console-screen", role: "group", ariaLabel: "Screen of the Cloud PC", tabIndex: -1 });
// Phones show their keyboard only for a field.
const entry = made("textarea", { className: "console-entry", ariaLabel: "Keyboard for the Cloud PC", tabIndex: -1 });

let rfb = null;
let why = "";

entry.autocapitalize = "off";
entry.setAttribute("autocomplete", "off");
entry.spellcheck = false;
hint.textContent = "Ctrl+Alt+Shift leads from the screen back to these buttons.";
screen.setAttribute("aria-describedby", hint.id);
typing.hidden = !matchMedia("(pointer: coarse)").matches;
full.hidden = !document.fullscreenEnabled;
bar.append(again, keys, typing, full);
head.append(state, bar);
page.append(head, hint, screen, entry);

screen.addEventListener("keydown", leave, true);
entry.addEventListener("beforeinput", typed);
document.addEventListener("fullscreenchange", () => {
  full.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
});
addEventListener("pagehide", () => rfb?.disconnect());
open();

async function open() {
  why = "";
  show("connecting", "Connecting…");
  try {
    const [admission, { default: RFB }] = await Promise.all([admit(), import(page.dataset.novnc)]);
    const address = new URL(admission.socket || page.dataset.socket, location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const wire = new WebSocket(address, ["binary"]);
    wire.addEventListener("close", (end) => { why ||= end.reason; });
    view(new RFB(screen, wire, { credentials: { password: admission.password } }));
  } catch (failure) {
    lost(failure.told || "The console could not be opened.");
  }
}

/* The one-time password and where to connect; throws an error with `told` for the person. */
async function admit() {
  const csrf = document.querySelector("meta[name=csrf]").content;
  const headers = { "X-CSRF-Token": csrf, Accept: "application/json" };
  const answer = await fetch(page.dataset.open, { method: "POST", headers, redirect: "error" });
  const told = await answer.json().catch(() => ({}));
  if (answer.ok && !told.message) return told;
  const signedOut = answer.status === 401 ? "You are signed out. Open this page again to sign in." : "";
  throw Object.assign(new Error(), { told: told.message || signedOut });
}

function view(opened) {
  rfb = opened;
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  rfb.addEventListener("connect", () => {
    show("connected", "Connected.");
    if ([document.body, screen].includes(document.activeElement)) rfb.focus();
  });
  rfb.addEventListener("securityfailure", (refused) => {
    why = refused.detail.reason ? `The screen refused: ${refused.detail.reason}.` : "The screen refused the password.";
  });
  rfb.addEventListener("disconnect", () => {
    rfb = null;
    lost(why);
  });
}

function lost(reason) {
  const here = screen.contains(document.activeElement) || document.activeElement === document.body;
  show("lost", reason ? `Not connected. ${reason.replace(/[.\s]*$/, ".")}` : "Not connected.");
  if (here || document.activeElement === entry) again.focus();
}

function show(name, text) {
  const focused = document.activeElement;
  page.dataset.state = name;
  state.textContent = text;
  again.hidden = name !== "lost";
  for (const control of [keys, typing, full]) control.disabled = name !== "connected";
  if (focused === again && again.hidden) screen.focus();
}

/* Everything else typed on the screen goes to the Cloud PC, also Tab: this is the way out. */
function leave(event) {
  if (!(event.ctrlKey && event.altKey && event.shiftKey && ["Control", "Alt", "Shift"].includes(event.key))) return;
  event.preventDefault();
  event.stopPropagation();
  dispatchEvent(new Event("blur"));  // noVNC lets go of the keys that are down
  keys.focus();
}

function typed(event) {
  event.preventDefault();
  if (event.inputType === "deleteContentBackward") rfb?.sendKey(BACKSPACE);
  else if (event.inputType === "insertLineBreak") rfb?.sendKey(RETURN);
  else for (const character of event.data || "") {
    const code = character.codePointAt(0);
    rfb?.sendKey(code >= 0x20 && code <= 0xff ? code : 0x01000000 + code);
  }
}

function toggleFull() {
  if (document.fullscreenElement) document.exitFullscreen();
  else page.requestFullscreen().then(() => rfb?.focus());
}

function made(kind, properties) {
  return Object.assign(document.createElement(kind), properties);
}

function button(text, act) {
  const one = made("button", { type: "button", textContent: text });
  one.addEventListener("click", act);
  return one;
}
