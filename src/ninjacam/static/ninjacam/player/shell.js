// The player's user interface: the shadow tree with overlay, age badge and buttons. No state of its own, no network.

import { say } from "./strings.js";

/** @typedef {import("./session.js").PlayerState} PlayerState */

const CSS = `
:host { display: block; position: relative; overflow: hidden; aspect-ratio: var(--ninjacam-aspect, 16 / 9);
  background: var(--ninjacam-background, #0d1117); color: #f4f6f8; border-radius: var(--ninjacam-radius, 0);
  font: 500 13px/1.35 system-ui, sans-serif; contain: content; }
:host([hidden]) { display: none; }
:host(:focus-visible) { outline: 2px solid var(--ninjacam-accent, #4c9ffe); outline-offset: 2px; }
.stage, .stage > * { position: absolute; inset: 0; width: 100%; height: 100%; }
.stage > * { object-fit: var(--_fit, contain); }
.stage > .annotations { object-fit: fill; pointer-events: none; }
.stage { transition: filter .2s; transform-origin: 0 0; }
:host([controls]) { touch-action: pan-x pan-y; } /* two fingers zoom into the picture, not into the page */
:host(.zoomed) { touch-action: none; cursor: grab; }
:host(.zoomed:active) { cursor: grabbing; }
.stage.dim { filter: grayscale(.6) brightness(.45); }
.overlay { position: absolute; inset: 0; display: flex; flex-direction: column; align-items: center;
  justify-content: center; gap: .4em; padding: 1em; text-align: center; pointer-events: none; }
.overlay:empty { display: none; }
.overlay strong { font-size: 1.1em; font-weight: 600; }
.overlay span { max-width: 46ch; color: #cdd5dd; overflow-wrap: anywhere; }
.overlay.waiting::before { content: ""; width: 1.6em; height: 1.6em; border-radius: 50%;
  border: 3px solid #ffffff40; border-top-color: #fff; animation: turn 1s linear infinite; }
@keyframes turn { to { transform: rotate(1turn); } }
.warning { position: absolute; inset: auto 0 0 0; padding: .5em 7em .5em .8em; background: #7a1f1fe6; overflow-wrap: anywhere; }
.warning:empty { display: none; }
.overlay.seeking { animation: appear .2s .5s both; } /* most seeks end before it becomes visible */
@keyframes appear { from { opacity: 0; } }
.note { position: absolute; inset: auto 0 .6em 0; width: fit-content; max-width: calc(100% - 9em); margin: 0 auto;
  padding: .25em .8em; border-radius: 1em; background: #000000b8; text-align: center; pointer-events: none; }
.note:empty { display: none; }
.badge { position: absolute; top: .6em; left: .6em; padding: .15em .6em; border-radius: 1em; background: #000000a6;
  font-size: 11px; font-variant-numeric: tabular-nums; }
.badge:empty { display: none; }
.badge::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .45em;
  border-radius: 50%; background: #ffb224; }
.badge.live::before { background: #3ddc84; }
.controls { position: absolute; right: .6em; bottom: .6em; display: flex; gap: .4em; opacity: 0; transition: opacity .15s; }
:host(:hover) .controls, :host(:focus-within) .controls, :host(:focus) .controls { opacity: 1; }
@media (hover: none) { .controls { opacity: 1; } }
.controls[hidden] { display: none; }
.controls > * { display: grid; place-items: center; width: 36px; height: 36px; padding: 0; border: 0; border-radius: 8px;
  background: #000000a6; color: inherit; cursor: pointer; }
.controls > *:hover { background: #000000d9; }
.controls > *:focus-visible { outline: 2px solid var(--ninjacam-accent, #4c9ffe); outline-offset: 2px; }
.controls svg { width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round;
  stroke-linejoin: round; }
@media (prefers-reduced-motion: reduce) {
  .overlay.seeking { animation-duration: 1ms; }
  .overlay.waiting::before { animation: none; border-top-color: #ffffff40; }
  .stage, .controls { transition: none; }
}`;

const HTML = `
<div class="stage" part="stage" role="img"></div>
<div class="overlay" part="overlay" role="status" aria-live="polite"></div>
<div class="warning" part="warning" role="status" aria-live="polite"></div>
<div class="note" part="note" role="status" aria-live="polite"></div>
<div class="badge" part="badge" aria-hidden="true"></div>
<div class="controls" part="controls" hidden>
  <a class="snapshot" part="button snapshot"><svg viewBox="0 0 24 24" aria-hidden="true"><path
    d="M4 8h3l2-3h6l2 3h3v11H4z"/><circle cx="12" cy="13" r="3.5"/></svg></a>
  <button class="fullscreen" part="button fullscreen" type="button"><svg viewBox="0 0 24 24" aria-hidden="true"><path
    d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/></svg></button>
</div>`;

/** @type {CSSStyleSheet | null} one for all players of the page; constructed sheets need no style-src */
let sheet = null;

export class Shell {
  #root;
  stage;
  #overlay;
  #warning;
  #badge;
  #note;
  #noteTimer = 0;
  #controls;
  snapshot;
  fullscreen;

  /** @param {HTMLElement} host */
  constructor(host) {
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);
    this.#root = host.attachShadow({ mode: "open" });
    this.#root.adoptedStyleSheets = [sheet];
    this.#root.innerHTML = HTML;
    this.stage = this.#find("stage");
    this.#overlay = this.#find("overlay");
    this.#warning = this.#find("warning");
    this.#badge = this.#find("badge");
    this.#note = this.#find("note");
    this.#controls = this.#find("controls");
    this.snapshot = /** @type {HTMLAnchorElement} */ (this.#find("snapshot"));
    this.fullscreen = /** @type {HTMLButtonElement} */ (this.#find("fullscreen"));
  }

  /** @param {string} name */
  #find(name) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(`.${name}`));
  }

  /**
   * @param {string} camera
   * @param {string} view
   */
  name(camera, view) {
    this.stage.setAttribute("aria-label", say(view ? "camera_view" : "camera", { camera, view }));
    for (const [element, key] of /** @type {const} */ ([[this.snapshot, "snapshot"], [this.fullscreen, "fullscreen"]])) {
      element.setAttribute("aria-label", say(key));
      element.title = say(key);
    }
  }

  /** @param {boolean} shown */
  showControls(shown) {
    this.#controls.hidden = !shown;
  }

  /** @param {string} fit */
  setFit(fit) {
    this.stage.style.setProperty("--_fit", ["contain", "cover", "fill"].includes(fit) ? fit : "contain");
  }

  /** @param {PlayerState} state */
  showState({ state, code, message, viewError }) {
    const fine = ["live", "idle", "playing", "paused"].includes(state);
    this.stage.classList.toggle("dim", !fine && state !== "seeking");
    this.#overlay.classList.toggle("seeking", state === "seeking");
    const waiting = ["connecting", "reconnecting", "stalled", "seeking"].includes(state);
    this.#overlay.classList.toggle("waiting", waiting && !code);
    this.#overlay.replaceChildren();
    if (!fine) {
      const headline = document.createElement("strong");
      headline.textContent = headlineOf(state, code);
      const detail = document.createElement("span");
      detail.textContent = message;
      this.#overlay.append(...(message ? [headline, detail] : [headline]));
    }
    this.#warning.textContent = viewError ? `${say("view_failed")} ${viewError.message}` : "";
  }

  /**
   * @param {string} text
   * @param {number} [forMs] 0: until the next one
   */
  showNote(text, forMs = 0) {
    clearTimeout(this.#noteTimer);
    this.#note.textContent = text;
    if (forMs) this.#noteTimer = setTimeout(() => this.showNote(""), forMs);
  }

  /**
   * @param {string} text
   * @param {boolean} live
   */
  showAge(text, live) {
    if (this.#badge.textContent !== text) this.#badge.textContent = text;
    this.#badge.classList.toggle("live", live);
  }
}

/**
 * @param {PlayerState["state"]} state
 * @param {string} code
 */
function headlineOf(state, code) {
  switch (code) {
    case "forbidden":
    case "not_found":
    case "view_not_found":
    case "not_authenticated":
    case "limit":
    case "cannot_play":
    case "not_wrapped":
    case "blocked":
      return say(code);
    default:
      return say(state);
  }
}
