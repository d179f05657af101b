// Moves the camera of the page: while a button or a key is held, its velocity is sent again and again. The server stops
// the camera when that ends, whatever the reason (docs/websocket.md).

import { base, callApi } from "./api.js";
import { connectionTo } from "../player/connection.js";

const REFRESH_MS = 80; // the server stops a movement that is not refreshed for 250 ms
/** @type {Record<string, { pan?: number, tilt?: number, zoom?: number }>} */
const KEYS = {
  ArrowLeft: { pan: -1 },
  ArrowRight: { pan: 1 },
  ArrowUp: { tilt: 1 },
  ArrowDown: { tilt: -1 },
  "+": { zoom: 1 },
  "=": { zoom: 1 }, // the same key without Shift
  "-": { zoom: -1 },
};
const AXES = /** @type {const} */ (["pan", "tilt", "zoom"]);

class PtzControls {
  #root;
  #slug;
  #connection = connectionTo(base);
  #speed;
  #note;
  #presets;
  /** @type {Map<unknown, { pan?: number, tilt?: number, zoom?: number }>} what is held: a pointer's number, or a key */
  #held = new Map();
  #timer = 0;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#slug = root.dataset.camera ?? "";
    this.#speed = /** @type {HTMLInputElement} */ (root.querySelector("input[type=range]"));
    this.#note = /** @type {HTMLElement} */ (root.querySelector("[data-note]"));
    this.#presets = /** @type {HTMLSelectElement} */ (root.querySelector("[data-presets]"));
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".icon"))) {
      button.addEventListener("pointerdown", (event) => this.#pressButton(event, button));
      for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
        button.addEventListener(name, (event) => this.#release(/** @type {PointerEvent} */ (event).pointerId));
      }
      button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
    }
    root.addEventListener("keydown", (event) => this.#pressKey(event));
    root.addEventListener("keyup", (event) => this.#release(event.key));
    root.addEventListener("focusout", () => this.#releaseKeys());
    addEventListener("blur", () => this.#releaseAll());
    addEventListener("pagehide", () => this.#releaseAll());
    document.addEventListener("visibilitychange", () => document.hidden && this.#releaseAll());
    this.#presets.addEventListener("change", () => this.#goto());
    const form = /** @type {HTMLFormElement} */ (root.querySelector("[data-save]"));
    form.addEventListener("submit", (event) => this.#save(event, form));
    this.#connection.onptz = (camera, message) => camera === this.#slug && this.#fail(message);
  }

  async start() {
    try {
      this.#show(await callApi(`cameras/${this.#slug}/ptz`));
    } catch (error) {
      this.#root.replaceChildren(this.#note);
      this.#fail(/** @type {Error} */ (error).message);
    }
    this.#root.hidden = false;
  }

  /** @param {any} ptz PtzOut of the API */
  #show(ptz) {
    for (const group of /** @type {NodeListOf<HTMLElement>} */ (this.#root.querySelectorAll("[data-needs]"))) {
      group.hidden = !ptz[group.dataset.needs ?? ""];
    }
    const home = ptz.home ? [new Option(this.#root.dataset.home, "home:")] : [];
    const presets = ptz.presets.map((/** @type {any} */ each) => new Option(each.name, `preset:${each.token}`));
    this.#presets.replaceChildren(new Option("–", ""), ...home, ...presets);
    /** @type {HTMLElement} */ (this.#root.querySelector("[data-save]")).hidden = !ptz.max_presets;
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLElement} button
   */
  #pressButton(event, button) {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    const { pan, tilt, zoom } = button.dataset;
    this.#press(event.pointerId, { pan: Number(pan ?? 0), tilt: Number(tilt ?? 0), zoom: Number(zoom ?? 0) });
  }

  /** @param {KeyboardEvent} event */
  #pressKey(event) {
    const velocity = KEYS[event.key];
    const inField = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (!velocity || inField || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page's own keys move the recording
    if (!event.repeat) this.#press(event.key, velocity);
  }

  /**
   * @param {unknown} source
   * @param {{ pan?: number, tilt?: number, zoom?: number }} velocity
   */
  #press(source, velocity) {
    this.#note.textContent = "";
    this.#held.set(source, velocity);
    this.#send();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#send(), REFRESH_MS);
  }

  /** @param {unknown} source */
  #release(source) {
    if (!this.#held.delete(source)) return;
    if (this.#held.size === 0) clearInterval(this.#timer);
    this.#send();
  }

  #releaseKeys() {
    for (const key of Object.keys(KEYS)) this.#release(key);
  }

  #releaseAll() {
    for (const source of [...this.#held.keys()]) this.#release(source);
  }

  #send() {
    const speed = Number(this.#speed.value);
    const sum = { pan: 0, tilt: 0, zoom: 0 };
    for (const velocity of this.#held.values()) for (const axis of AXES) sum[axis] += velocity[axis] ?? 0;
    for (const axis of AXES) sum[axis] = Math.max(-1, Math.min(1, sum[axis])) * speed;
    const sent = this.#connection.command({ op: "ptz", camera: this.#slug, ...sum });
    if (!sent && this.#held.size > 0) this.#fail(this.#root.dataset.lost ?? "");
  }

  /** @param {string} message */
  #fail(message) {
    this.#held.clear();
    clearInterval(this.#timer);
    this.#note.textContent = message;
  }

  async #goto() {
    const [kind, ...rest] = this.#presets.value.split(":");
    if (kind) await this.#call(kind === "home" ? { command: "go_home" } : { command: "goto_preset", preset: rest.join(":") });
    this.#presets.value = "";
  }

  /**
   * @param {Event} event
   * @param {HTMLFormElement} form
   */
  async #save(event, form) {
    event.preventDefault();
    const name = /** @type {HTMLInputElement} */ (form.elements.namedItem("name")).value;
    if (!(await this.#call({ command: "set_preset", name }))) return;
    form.reset();
    await callApi(`cameras/${this.#slug}/ptz`).then((ptz) => this.#show(ptz), (error) => this.#fail(error.message));
  }

  /** @param {object} command */
  async #call(command) {
    this.#note.textContent = "";
    try {
      await callApi(`cameras/${this.#slug}/ptz`, command);
    } catch (error) {
      this.#fail(/** @type {Error} */ (error).message);
      return false;
    }
    return true;
  }
}

const root = document.getElementById("ptz");
if (root) void new PtzControls(root).start();
