// Connects the controls of recordings (timeline, buttons) with the page's player, or with several players through one clock.

import { base, callApi } from "./api.js";
import { mountedUrl, connectionTo } from "../player/connection.js";
import { SPAN_GAP_MS, findLast, timeText } from "../replay/clip.js";
import { ReplayGroup } from "../replay/clock.js";
import { say, sayMoment } from "../player/strings.js";
import "../timeline/timeline.js";

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */
/** @typedef {import("../timeline/timeline.js").NinjacamTimeline} Timeline */
/** @typedef {import("../timeline/timeline-data.js").Range} Range */

const MAX_CLIP_MS = 3_600_000;
const MINUTE_MS = 60_000;
const EXPORT_EVERY_MS = 1000;
const JUMP_BACK_MS = 10_000; // distance of the first jump back from live video
const ZOOM = 2;
const root = /** @type {HTMLElement} */ (document.getElementById("playback-controls"));

class PlaybackControls {
  #players = /** @type {Player[]} */ ([...document.querySelectorAll("ninjacam-player")]);
  #timeline = /** @type {Timeline} */ (root.querySelector("ninjacam-timeline"));
  #when = /** @type {HTMLInputElement} */ (root.querySelector("input[type=datetime-local]"));
  #rate = /** @type {HTMLSelectElement} */ (root.querySelector("select"));
  #note = /** @type {HTMLElement} */ (root.querySelector("[data-note]"));
  #range = /** @type {HTMLElement | null} */ (root.querySelector("[data-range]"));
  #transport = this.#players.length > 1 ? new ReplayGroup(this.#players, serverNow) : this.#players[0];
  #noteTimer = 0;
  #abort = new AbortController(); // of the action started by the last button

  constructor() {
    const timeline = this.#timeline;
    timeline.nowMs = serverNow;
    timeline.cameras = this.#players.map((player) => ({
      slug: player.getAttribute("camera") ?? "",
      name: player.dataset.name ?? player.getAttribute("camera") ?? "",
    }));
    timeline.selectable = this.#range !== null;
    timeline.addEventListener("seek", (event) => this.#seek(/** @type {CustomEvent} */ (event).detail.time));
    timeline.addEventListener("seeklive", () => this.#transport.goLive());
    timeline.addEventListener("rangechange", (event) => this.#showRange(/** @type {CustomEvent} */ (event).detail));
    for (const name of ["positionchange", "modechange", "ninjacam-state"]) {
      this.#transport.addEventListener(name, () => this.#show());
    }
    root.addEventListener("click", (event) => this.#click(/** @type {Element} */ (event.target)));
    this.#rate.addEventListener("change", () => (this.#transport.rate = Number(this.#rate.value)));
    this.#when.addEventListener("change", () => this.#when.value && this.#seek(new Date(this.#when.value)));
    document.addEventListener("keydown", (event) => this.#key(event));
    const asked = Date.parse(root.dataset.time ?? "");
    if (asked) {
      this.#seek(new Date(asked));
      timeline.show(asked - 1_800_000, asked + 1_800_000);
    }
    this.#show();
  }

  /** @param {Date} when */
  #seek(when) {
    this.#abort.abort();
    this.#transport.seek(when);
  }

  #show() {
    const { position, mode, paused } = this.#transport;
    this.#timeline.setPosition(position, mode === "live");
    root.classList.toggle("paused", paused);
    root.classList.toggle("live", mode === "live");
    const toggle = this.#button("toggle");
    const label = (paused ? toggle.dataset.play : toggle.dataset.pause) ?? "";
    if (toggle.title !== label) {
      toggle.title = label;
      toggle.setAttribute("aria-label", label);
    }
    this.#button("live").setAttribute("aria-pressed", String(mode === "live"));
    if (position && document.activeElement !== this.#when) {
      const local = new Date(position.getTime() - position.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
      if (this.#when.value !== local) this.#when.value = local;
    }
  }

  /** @param {string} name @returns {HTMLElement} */
  #button(name) {
    return /** @type {HTMLElement} */ (root.querySelector(`[data-do=${name}]`));
  }

  /** @param {Element} target */
  #click(target) {
    const button = /** @type {HTMLElement | null} */ (target.closest("[data-do]"));
    if (button) this.#do(button.dataset.do ?? "");
  }

  /** @param {string} what */
  #do(what) {
    const transport = this.#transport;
    this.#abort.abort();
    if (what === "toggle") {
      if (transport.paused) transport.play();
      else transport.pause();
    } else if (what === "back" || what === "forward") {
      transport.step(what === "back" ? -1 : 1);
    } else if (what === "rewind") {
      void this.#rewind(Number(transport.position ?? serverNow()) - JUMP_BACK_MS);
    } else if (what === "previous" || what === "next") {
      if (!this.#timeline.seekEvent(what === "next" ? 1 : -1)) this.#say(say("no_event"));
    } else if (what === "live") {
      transport.goLive();
    } else if (what === "nearer" || what === "wider") {
      this.#timeline.zoom(what === "nearer" ? 1 / ZOOM : ZOOM);
    } else if (what === "mute") {
      transport.muted = !transport.muted;
      root.classList.toggle("loud", !transport.muted);
      this.#button("mute").setAttribute("aria-pressed", String(!transport.muted));
    } else if (what === "select") {
      this.#timeline.selecting = !this.#timeline.selecting;
      if (this.#timeline.selecting) this.#timeline.selection = null;
      this.#showSelecting();
    } else if (what === "clear") {
      this.#timeline.selection = null;
    } else if (what === "last-minute") {
      const endMs = transport.mode === "live" ? serverNow() : Number(transport.position);
      this.#timeline.selection = { startMs: endMs - MINUTE_MS, endMs };
      void this.#export();
    } else if (what === "export") {
      void this.#export();
    } else if (what === "timelapse") {
      const speed = /** @type {HTMLSelectElement} */ (this.#range?.querySelector("[data-speed]")).value;
      void this.#export({ kind: "key_frames", speed: Number(speed) });
    }
    this.#show();
  }

  /** Seek to this time, or to the last recording before it. @param {number} wallMs */
  async #rewind(wallMs) {
    this.#transport.seek(wallMs);
    const { signal } = (this.#abort = new AbortController());
    const cameras = this.#players.map((player) => player.getAttribute("camera") ?? "");
    const found = await Promise.all(cameras.map((camera) => findLast({ base, camera }, wallMs, signal).catch(() => null)));
    const lastMs = Math.max(...found.map((each) => each ?? -Infinity));
    if (!signal.aborted && lastMs > -Infinity && wallMs - lastMs > SPAN_GAP_MS) this.#transport.seek(lastMs);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, button, a, summary")) return;
    const what = /** @type {Record<string, string>} */ ({ " ": "toggle", ",": "back", ".": "forward" })[event.key];
    if (!what) return;
    event.preventDefault();
    this.#do(what);
  }

  /** @param {string} text */
  #say(text) {
    clearTimeout(this.#noteTimer);
    this.#note.textContent = text;
    this.#noteTimer = setTimeout(() => (this.#note.textContent = ""), 4000);
  }

  // --- export ---

  /** @param {Range | null} range */
  #showRange(range) {
    if (!this.#range) return;
    this.#showSelecting();
    this.#range.hidden = !range;
    if (!range) return;
    const text = /** @type {HTMLElement} */ (this.#range.querySelector("[data-text]"));
    const links = /** @type {HTMLElement} */ (this.#range.querySelector("[data-links]"));
    text.textContent = `${sayMoment(range.startMs)} – ${sayMoment(range.endMs)}`;
    const tooLong = range.endMs - range.startMs > MAX_CLIP_MS;
    links.replaceChildren(...(tooLong ? [say("too_long")] : this.#exportable().map((player) => this.#linkTo(player, range))));
  }

  #showSelecting() {
    this.#button("select").setAttribute("aria-pressed", String(this.#timeline.selecting));
  }

  /** @returns {Player[]} */
  #exportable() {
    return this.#players.filter((player) => player.dataset.mayExport !== undefined);
  }

  /**
   * @param {Player} player
   * @param {Range} range
   */
  #linkTo(player, range) {
    const query = { start: timeText(range.startMs), end: timeText(range.endMs), download: "1" };
    const link = document.createElement("a");
    link.href = mountedUrl(base, `rec/${player.getAttribute("camera")}/clip.mp4`, query).href;
    link.className = "button quiet";
    link.textContent = `${this.#range?.dataset.download ?? ""} ${this.#players.length > 1 ? player.dataset.name : ""}`.trim();
    return link;
  }

  /** @param {object} options of the export, besides the camera and the span */
  async #export(options = {}) {
    const range = this.#timeline.selection;
    if (!range) return;
    const span = { start: timeText(range.startMs), end: timeText(range.endMs) };
    await Promise.all(this.#exportable().map(async (player) => {
      try {
        await this.#follow(await callApi("exports", { camera: player.getAttribute("camera"), ...span, ...options }));
      } catch (error) {
        this.#say(/** @type {Error} */ (error).message);
      }
    }));
  }

  /**
   * Show the export's progress until it is done.
   * @param {any} made ExportOut of the API
   */
  async #follow(made) {
    const links = /** @type {HTMLElement} */ (this.#range?.querySelector("[data-links]"));
    const link = document.createElement("a");
    link.className = "button quiet";
    links.append(link);
    while (made.state === "queued" || made.state === "running") {
      link.textContent = `${Math.round(made.progress * 100)} %`;
      await new Promise((resolve) => setTimeout(resolve, EXPORT_EVERY_MS));
      if (!link.isConnected) return;
      made = await callApi(`exports/${made.id}`);
    }
    if (made.download_url) link.href = made.download_url;
    link.textContent = made.download_url ? say("export_done") : (made.error?.message ?? say("exporting", { state: made.state }));
  }
}

function serverNow() {
  return connectionTo(base).clock.nowMs() ?? Date.now();
}

void customElements.whenDefined("ninjacam-player").then(async () => {
  await customElements.whenDefined("ninjacam-timeline");
  new PlaybackControls();
});
