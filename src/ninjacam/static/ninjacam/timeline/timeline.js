// <ninjacam-timeline base="/cam/">: shows recordings, events and a position, and lets users seek.
// It plays nothing: playback-controls.js connects it with players. Events: "seek", "seeklive", "rangechange".

import { Previews } from "./preview.js";
import { adoptPageStrings, say, sayMoment } from "../player/strings.js";
import { TimelineData, MAX_SPAN_MS } from "./timeline-data.js";
import { AXIS_PX, drawTimeline, heightOf, rowHeight } from "./timeline-drawing.js";

/** @typedef {import("./timeline-data.js").Range} Range */
/** @typedef {import("./timeline-data.js").TimelineEvent} TimelineEvent */
/** @typedef {import("./timeline-drawing.js").Palette} Palette */

const SHORTEST_MS = 10_000;
const FIRST_MS = 3_600_000; // initial visible span
const BEHIND_NOW = 0.06; // share of the visible span after the present, while it follows the present
const FOLLOW_AT = 0.12; // share of the visible span before the position, after it has left the visible span
const WHEEL_ZOOM = 1.0015; // per pixel of wheel movement
const KEY_ZOOM = 1.6;
const LIVE_MS = 1000; // this close to the present, nothing is recorded yet
const DRAG_PX = 5; // a shorter drag is a click
const GRIP_PX = 12;
const COLOURS = /** @type {const} */ (["ink", "soft", "line", "accent", "paper", "good", "bad", "wait"]);
const CSS = `
:host { display: block; position: relative; user-select: none; -webkit-user-select: none; touch-action: pan-y;
  border-radius: 6px; cursor: pointer; }
:host([hidden]) { display: none; }
:host(:focus-visible) { outline: 2px solid var(--accent, #1566d6); outline-offset: 3px; }
:host(.dragging) { cursor: grabbing; }
:host(.selecting) { cursor: col-resize; touch-action: none; outline: 2px dashed var(--accent, #1566d6); outline-offset: 2px; }
canvas { display: block; width: 100%; }
.tip { position: absolute; bottom: calc(100% + 2px); left: 0; z-index: 3; max-width: 250px; padding: 4px;
  border-radius: 8px; background: #0d1117ee; color: #f4f6f8; font: 500 12px/1.4 system-ui, sans-serif; text-align: center;
  pointer-events: none; box-shadow: 0 2px 12px #0006; }
.tip[hidden] { display: none; }
.tip img { display: block; width: 240px; max-width: 100%; margin-bottom: 3px; border-radius: 5px; }
.tip img:not([src]) { display: none; }
.tip div { font-variant-numeric: tabular-nums; }
.tip small { display: block; font-size: 11px; color: #cdd5dd; }
.error { position: absolute; inset: auto 0 8px 0; width: fit-content; max-width: 90%; margin: auto; padding: 2px 12px;
  border-radius: 1em; background: var(--bad-ground, #fdecea); color: var(--bad, #b3261e); font: 13px/1.5 system-ui, sans-serif;
  pointer-events: none; }
.error:empty { display: none; }`;
const HTML = `<canvas aria-hidden="true"></canvas>
<div class="tip" hidden><img alt=""><div></div><small></small></div><div class="error" role="status"></div>`;

/** @type {CSSStyleSheet | null} */
let sheet = null;

export class NinjacamTimeline extends HTMLElement {
  #canvas;
  #tip;
  #error;
  /** @type {TimelineData | null} */
  #data = null;
  /** @type {Previews | null} */
  #previews = null;
  /** @type {{ slug: string, name: string }[]} */
  #cameras = [];
  #startMs = 0;
  #endMs = 0;
  /** @type {number | null} share of the visible span before the position, which is kept visible; null: it is not */
  #share = 1 - BEHIND_NOW;
  /** @type {number | null} */
  #positionMs = null;
  #live = true;
  /** @type {Range | null} */
  #selection = null;
  /** @type {{ xPx: number, row: number } | null} where the pointer hovers or scrubs */
  #hover = null;
  /** @type {Map<number, PointerEvent>} */
  #pointers = new Map();
  /** @type {"click" | "pan" | "scrub" | "select" | "pinch"} */
  #gesture = "click";
  #downPx = 0;
  #downMs = 0;
  #pinchPx = 0;
  #frame = 0;
  #minute = 0;
  /** @type {Palette | null} */
  #palette = null;
  #resize = new ResizeObserver(() => this.#redraw());
  #scheme = matchMedia("(prefers-color-scheme: dark)");
  /** The server's wall clock. */
  nowMs = () => Date.now();
  /** Whether users can select a range: by dragging with Shift, or while `selecting`. */
  selectable = false;
  #selecting = false;

  constructor() {
    super();
    if (!sheet) (sheet = new CSSStyleSheet()).replaceSync(CSS);
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.innerHTML = HTML;
    this.#canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    this.#tip = /** @type {HTMLElement} */ (root.querySelector(".tip"));
    this.#error = /** @type {HTMLElement} */ (root.querySelector(".error"));
    this.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("pointerdown", (event) => this.#down(event));
    this.addEventListener("pointermove", (event) => this.#move(event));
    this.addEventListener("pointerup", (event) => this.#up(event));
    this.addEventListener("pointercancel", (event) => this.#up(event));
    this.addEventListener("pointerleave", () => this.#leave());
  }

  connectedCallback() {
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    this.setAttribute("role", "slider");
    if (!this.hasAttribute("aria-label")) this.setAttribute("aria-label", say("timeline"));
    const base = this.getAttribute("base") ?? "/";
    this.#data = new TimelineData(base, () => this.#loaded(), () => this.nowMs());
    this.#data.setCameras(this.#cameras.map(({ slug }) => slug));
    this.#previews = new Previews(base, () => this.#redraw());
    this.#resize.observe(this);
    this.#scheme.addEventListener("change", this.#recolour);
    this.#minute = setInterval(() => this.#passTime(), 1000);
    if (!this.#endMs) this.show(this.nowMs() - FIRST_MS * (1 - BEHIND_NOW), this.nowMs() + FIRST_MS * BEHIND_NOW);
    else this.show(this.#startMs, this.#endMs);
  }

  disconnectedCallback() {
    this.#data?.close();
    this.#previews?.close();
    this.#resize.disconnect();
    this.#scheme.removeEventListener("change", this.#recolour);
    clearInterval(this.#minute);
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  /** The rows, from top to bottom. */
  get cameras() {
    return this.#cameras;
  }

  set cameras(cameras) {
    this.#cameras = cameras;
    this.#data?.setCameras(cameras.map(({ slug }) => slug));
    this.#redraw();
  }

  /** The visible range. */
  get visible() {
    return { startMs: this.#startMs, endMs: this.#endMs };
  }

  /** Whether the next drag selects a range without Shift, for touch screens. The drag resets it. */
  get selecting() {
    return this.#selecting;
  }

  set selecting(selecting) {
    this.#selecting = selecting && this.selectable;
    this.classList.toggle("selecting", this.#selecting);
  }

  /** The selected range, or null. The event "rangechange" reports each change. */
  get selection() {
    return this.#selection;
  }

  set selection(range) {
    this.#selection = range;
    this.dispatchEvent(new CustomEvent("rangechange", { detail: range }));
    this.#redraw();
  }

  /**
   * Set the players' position. `live`: at the present.
   * @param {Date | number | null} when
   * @param {boolean} live
   */
  setPosition(when, live) {
    const positionMs = when === null ? null : Number(when);
    if (positionMs === this.#positionMs && live === this.#live) return;
    if (live && !this.#live) this.#share ??= 1 - BEHIND_NOW;
    this.#positionMs = positionMs;
    this.#live = live;
    this.#follow();
    this.#describe();
    this.#redraw();
  }

  /**
   * @param {number} startMs
   * @param {number} endMs
   */
  show(startMs, endMs) {
    const spanMs = Math.min(MAX_SPAN_MS, Math.max(SHORTEST_MS, endMs - startMs));
    const latestMs = this.nowMs() + spanMs * 0.5;
    this.#endMs = Math.min(latestMs, (startMs + endMs) / 2 + spanMs / 2);
    this.#startMs = this.#endMs - spanMs;
    const share = (this.#shownMs() - this.#startMs) / spanMs;
    this.#share = share >= 0 && share <= 1 ? share : null;
    this.#data?.show(this.#startMs, this.#endMs);
    this.#describe();
    this.#redraw();
  }

  /**
   * @param {number} factor below 1: closer
   * @param {number} [aroundMs] time that stays in place
   */
  zoom(factor, aroundMs = this.#shownMs()) {
    const inside = aroundMs >= this.#startMs && aroundMs <= this.#endMs;
    const around = inside ? aroundMs : (this.#startMs + this.#endMs) / 2;
    const spanMs = this.#endMs - this.#startMs;
    const wantedMs = Math.min(MAX_SPAN_MS, Math.max(SHORTEST_MS, spanMs * factor));
    const startMs = around - ((around - this.#startMs) / spanMs) * wantedMs;
    this.show(startMs, startMs + wantedMs);
  }

  /**
   * Return the next or previous event of any row.
   * @param {1 | -1} direction
   * @param {number} [fromMs]
   * @returns {TimelineEvent | null}
   */
  findEvent(direction, fromMs = this.#positionMs ?? this.nowMs()) {
    const events = this.#cameras.flatMap(({ slug }) => this.#data?.row(slug).events ?? []);
    const beyond = events.filter(({ startMs }) => (direction > 0 ? startMs > fromMs + 500 : startMs < fromMs - 1500));
    return beyond.sort((a, b) => direction * (a.startMs - b.startMs))[0] ?? null;
  }

  /** Seek to the next or previous event. @param {1 | -1} direction */
  seekEvent(direction) {
    const event = this.findEvent(direction);
    if (event) this.#seek(event.startMs);
    return event;
  }

  // --- visible range ---

  #loaded() {
    const error = this.#data?.error ?? "";
    this.#error.textContent = error && `${say("timeline_failed")} ${error}`;
    this.#redraw();
  }

  #passTime() {
    this.#follow();
    if (this.nowMs() < this.#endMs + 1000) this.#redraw();
  }

  /** The time of the cursor. */
  #shownMs() {
    return this.#live ? this.nowMs() : (this.#positionMs ?? this.nowMs());
  }

  /** Keep the cursor visible: the present stays in place; a position that leaves the range moves it by a page. */
  #follow() {
    if (this.#share === null || this.#pointers.size) return;
    const spanMs = this.#endMs - this.#startMs;
    const atMs = this.#shownMs();
    const isOut = atMs < this.#startMs || atMs > this.#endMs;
    if (!this.#live && !isOut) return;
    const share = this.#live ? this.#share : FOLLOW_AT;
    const startMs = atMs - spanMs * share;
    if (isOut || Math.abs(startMs - this.#startMs) > spanMs / 1000) this.show(startMs, startMs + spanMs);
  }

  #describe() {
    const atMs = this.#positionMs ?? this.nowMs();
    this.setAttribute("aria-valuemin", String(Math.round(this.#startMs / 1000)));
    this.setAttribute("aria-valuemax", String(Math.round(this.#endMs / 1000)));
    const text = this.#live ? say("live") : sayMoment(atMs);
    if (this.getAttribute("aria-valuetext") === text) return;
    this.setAttribute("aria-valuenow", String(Math.round(atMs / 1000)));
    this.setAttribute("aria-valuetext", text);
  }

  #recolour = () => {
    this.#palette = null;
    this.#redraw();
  };

  #redraw() {
    if (!this.#frame && this.isConnected) this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const widthPx = this.clientWidth;
    const rows = this.#cameras.map(({ slug, name }) => ({ name, row: /** @type {TimelineData} */ (this.#data).row(slug) }));
    const heightPx = heightOf(rows.length);
    const pen = this.#canvas.getContext("2d");
    if (!pen || !widthPx) return;
    const density = devicePixelRatio || 1;
    const [width, height] = [Math.round(widthPx * density), Math.round(heightPx * density)];
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
      this.#canvas.style.height = `${heightPx}px`;
    }
    pen.setTransform(density, 0, 0, density, 0, 0);
    this.#palette ??= readPalette(this);
    const scene = {
      widthPx, rows, startMs: this.#startMs, endMs: this.#endMs, nowMs: this.nowMs(),
      positionMs: this.#shownMs(), live: this.#live, selection: this.#selection,
      pointerMs: this.#hover && this.#timeAt(this.#hover.xPx),
    };
    drawTimeline(pen, scene, this.#palette);
    this.#drawTip(widthPx);
  }

  /** @param {number} widthPx */
  #drawTip(widthPx) {
    const hover = this.#hover;
    this.#tip.hidden = !hover;
    if (!hover) return;
    const atMs = this.#timeAt(hover.xPx);
    const camera = this.#cameras[hover.row];
    const row = camera && this.#data?.row(camera.slug);
    const [image, time, detail] = /** @type {[HTMLImageElement, HTMLElement, HTMLElement]} */ ([...this.#tip.children]);
    const msPerPx = (this.#endMs - this.#startMs) / widthPx;
    const recorded = row?.spans.some((span) => span.startMs <= atMs && atMs < span.endMs) ?? false;
    const url = recorded ? this.#previews?.find(camera.slug, atMs, 3 * msPerPx) : "";
    if (url) image.src = url;
    else if (url === "") image.removeAttribute("src"); // null: the previous thumbnail stays until this one is loaded
    time.textContent = sayMoment(atMs);
    const near = row?.events.filter((each) => each.startMs - 4 * msPerPx <= atMs && atMs <= each.endMs + 4 * msPerPx) ?? [];
    detail.textContent = near.length ? near.map(({ label }) => label).slice(0, 3).join(", ") : recorded ? "" : say("gap");
    const half = this.#tip.offsetWidth / 2;
    this.#tip.style.transform = `translateX(${Math.max(0, Math.min(widthPx - 2 * half, hover.xPx - half))}px)`;
  }

  // --- pointers and keys ---

  /** @param {number} xPx */
  #timeAt(xPx) {
    return this.#startMs + (xPx / this.clientWidth) * (this.#endMs - this.#startMs);
  }

  /** @param {MouseEvent} event */
  #place(event) {
    const box = this.getBoundingClientRect();
    const row = Math.floor((event.clientY - box.top - AXIS_PX) / rowHeight(this.#cameras.length));
    return { xPx: event.clientX - box.left, row: Math.min(this.#cameras.length - 1, Math.max(0, row)) };
  }

  /** @param {number} wallMs */
  #seek(wallMs) {
    this.#share ??= FOLLOW_AT;
    if (wallMs >= this.nowMs() - LIVE_MS) {
      this.dispatchEvent(new CustomEvent("seeklive"));
    } else {
      this.setPosition(wallMs, false);
      this.dispatchEvent(new CustomEvent("seek", { detail: { time: new Date(wallMs) } }));
    }
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!sideways) return this.zoom(WHEEL_ZOOM ** (event.deltaY * unit), this.#timeAt(this.#place(event).xPx));
    this.#pan(((event.deltaX || event.deltaY) * unit) / this.clientWidth);
  }

  /** @param {number} share of the visible span */
  #pan(share) {
    const byMs = share * (this.#endMs - this.#startMs);
    this.show(this.#startMs + byMs, this.#endMs + byMs);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, event);
    const { xPx } = this.#place(event);
    this.#downPx = xPx;
    this.#downMs = this.#timeAt(xPx);
    if (this.#pointers.size === 2) {
      this.#gesture = "pinch";
      this.#pinchPx = this.#spread().widthPx;
      this.#hover = null;
    } else if (this.#pointers.size === 1) {
      const gripMs = (GRIP_PX / this.clientWidth) * (this.#endMs - this.#startMs);
      const inAxis = event.clientY - this.getBoundingClientRect().top < AXIS_PX;
      const atCursor = Math.abs(this.#downMs - this.#shownMs()) < gripMs;
      if ((event.shiftKey || this.#selecting) && this.selectable) this.#gesture = "select";
      else this.#gesture = inAxis || atCursor ? "scrub" : "click";
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    const place = this.#place(event);
    if (!before) {
      if (event.pointerType !== "touch") this.#point(place);
      return;
    }
    this.#pointers.set(event.pointerId, event);
    if (this.#gesture === "click" && Math.abs(place.xPx - this.#downPx) > DRAG_PX) {
      this.#gesture = "pan";
      this.classList.add("dragging");
      this.#hover = null;
    }
    if (this.#gesture === "pan") {
      this.#pan((before.clientX - event.clientX) / this.clientWidth);
    } else if (this.#gesture === "pinch") {
      this.#pinch();
    } else if (this.#gesture === "select") {
      const ends = [this.#downMs, this.#timeAt(place.xPx)].sort((a, b) => a - b);
      this.#selection = { startMs: ends[0], endMs: ends[1] };
      this.#point(place);
    } else {
      this.#point(place);
    }
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    const { xPx } = this.#place(event);
    this.classList.remove("dragging");
    if (event.type === "pointerup") {
      if (this.#gesture === "click" || this.#gesture === "scrub") this.#seek(this.#timeAt(xPx));
      else if (this.#gesture === "select") {
        const chosen = Math.abs(xPx - this.#downPx) > DRAG_PX;
        if (chosen) this.selecting = false;
        this.selection = chosen ? this.#selection : null;
      }
    }
    if (this.#pointers.size) return; // one of two fingers is still down: ignore it
    this.#gesture = "click";
    if (event.pointerType === "touch") this.#leave();
  }

  #leave() {
    if (this.#pointers.size) return;
    this.#hover = null;
    this.#previews?.forget();
    this.#redraw();
  }

  /** @param {{ xPx: number, row: number }} place */
  #point(place) {
    this.#hover = { ...place, xPx: Math.max(0, Math.min(this.clientWidth, place.xPx)) };
    this.#redraw();
  }

  #spread() {
    const [a, b] = [...this.#pointers.values()].map((each) => this.#place(each).xPx);
    return { widthPx: Math.max(20, Math.abs(a - b)), middlePx: (a + b) / 2 };
  }

  #pinch() {
    if (this.#pointers.size < 2) return;
    const { widthPx, middlePx } = this.#spread();
    const middleMs = this.#timeAt(middlePx);
    this.zoom(this.#pinchPx / widthPx, middleMs);
    this.#pinchPx = widthPx;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const done = this.#keyed(event.key, event.shiftKey);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * @param {string} key
   * @param {boolean} shift
   */
  #keyed(key, shift) {
    const atMs = this.#positionMs ?? this.nowMs();
    const spanMs = this.#endMs - this.#startMs;
    const steps = /** @type {Record<string, number>} */ ({
      ArrowLeft: shift ? -10_000 : -1_000, ArrowDown: shift ? -10_000 : -1_000,
      ArrowRight: shift ? 10_000 : 1_000, ArrowUp: shift ? 10_000 : 1_000,
      PageDown: -spanMs / 10, PageUp: spanMs / 10,
    });
    if (key in steps) this.#seek(atMs + steps[key]);
    else if (key === "+" || key === "=") this.zoom(1 / KEY_ZOOM);
    else if (key === "-") this.zoom(KEY_ZOOM);
    else if (key === "Home") this.#seekFirst();
    else if (key === "End") this.#seek(this.nowMs());
    else if (key === "n" || key === "N") this.seekEvent(1);
    else if (key === "p" || key === "P") this.seekEvent(-1);
    else return false;
    return true;
  }

  /** Seek to the first visible recording. */
  #seekFirst() {
    const starts = this.#cameras.flatMap(({ slug }) => this.#data?.row(slug).spans ?? [])
      .filter((span) => span.endMs > this.#startMs)
      .map((span) => Math.max(span.startMs, this.#startMs));
    if (starts.length) this.#seek(Math.min(...starts));
  }
}

/**
 * @param {HTMLElement} element
 * @returns {Palette}
 */
function readPalette(element) {
  const style = getComputedStyle(element);
  const ours = { ink: "#16202b", soft: "#5b6876", line: "#d9dfe6", accent: "#1566d6", paper: "#fff", good: "#11733f", bad: "#b3261e", wait: "#8a5a00" };
  for (const name of COLOURS) ours[name] = style.getPropertyValue(`--${name}`).trim() || ours[name];
  return ours;
}

adoptPageStrings();
if (!customElements.get("ninjacam-timeline")) customElements.define("ninjacam-timeline", NinjacamTimeline);
