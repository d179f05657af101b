// <ninjacam-player camera="door" view="edges" base="/cam/" [format] [fit] [controls] [width]>
// The element: attributes in, a picture out. It watches only while it can be seen.

import { mountedUrl } from "./connection.js";
import { ladder } from "./ladder.js";
import { Session } from "./session.js";
import { Shell } from "./shell.js";
import { adoptPageStrings, say, sayAge, strings } from "./strings.js";

/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").Picture} Picture */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */
/** @typedef {import("./session.js").PlayerState} PlayerState */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */

const NEAR = "300px"; // so far outside the window a player is still watched, so that scrolling finds it playing
const FAR_GRACE_MS = 800;
const BADGE_EVERY_MS = 500;
const FPS_WINDOW_MS = 2000;
/** @type {PlayerState} */
const IDLE = { state: "idle", code: "", message: "", viewError: null };

export class NinjacamPlayer extends HTMLElement {
  static observedAttributes = ["camera", "view", "base", "format", "fit", "controls", "width"];
  /** What players say; change it before the first one is shown. */
  static strings = strings;

  /**
   * Called at each painted picture, which is valid during the call only.
   * @type {((picture: Picture, meta: PaintMeta & { ageMs: number | null, rung: string }) => void) | null}
   */
  onframe = this.onframe ?? null; // it may have been set before the element was defined

  #shell = new Shell(this);
  /** @type {Session | null} */
  #session = null;
  #starts = 0; // counts calls of #start, to know the last one
  #near = false;
  #farTimer = 0;
  #badgeTimer = 0;
  /** @type {IntersectionObserver | null} */
  #observer = null;
  /** @type {Painter | null} on top, painted or about to be */
  #shown = null;
  /** @type {Set<Painter>} on the stage */
  #onStage = new Set();
  /** @type {PlayerState} */
  #state = IDLE;
  #rung = "";
  #codec = "";
  #size = { width: 0, height: 0 };
  #capturedUs = 0;
  #paintedAt = 0;
  /** @type {number | null} */
  #latencyMs = null;
  #framesPainted = 0;
  #framesDecodedBefore = 0;
  /** @type {number[]} performance.now() of the last pictures */
  #paints = [];

  constructor() {
    super();
    this.#shell.fullscreen.addEventListener("click", () => this.#toggleFullscreen());
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("dblclick", () => this.hasAttribute("controls") && this.#toggleFullscreen());
  }

  /** "idle", "connecting", "live", "stalled", "reconnecting", "failed", "disabled", "unknown" or "error". */
  get state() {
    return this.#state.state;
  }

  /** How old the picture is that is shown, in ms; null before the first, or while the server's clock is unknown. */
  get ageMs() {
    const now = this.#session?.serverNowMs();
    return now == null || !this.#capturedUs ? null : Math.max(0, now - this.#capturedUs / 1000);
  }

  get stats() {
    const now = performance.now();
    const recent = this.#paints.filter((at) => now - at < FPS_WINDOW_MS);
    const spanMs = recent.length > 1 ? recent[recent.length - 1] - recent[0] : 0;
    return {
      framesReceived: this.#session?.framesReceived ?? 0,
      bytesReceived: this.#session?.bytesReceived ?? 0,
      framesDecoded: this.#framesDecodedBefore + (this.#session?.framesDecoded ?? 0),
      framesPainted: this.#framesPainted,
      rung: this.#rung,
      codec: this.#codec,
      ...this.#size,
      fps: spanMs ? ((recent.length - 1) * 1000) / spanMs : 0,
      latencyMs: this.#latencyMs,
    };
  }

  connectedCallback() {
    if (!this.hasAttribute("tabindex") && this.hasAttribute("controls")) this.tabIndex = 0;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: NEAR });
    this.#observer.observe(this);
    this.#badgeTimer = setInterval(() => this.#showAge(), BADGE_EVERY_MS);
    this.#describe();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#observer?.disconnect();
    clearInterval(this.#badgeTimer);
    clearTimeout(this.#farTimer);
    this.#near = false;
    this.#stop();
    for (const painter of this.#onStage) this.#remove(painter);
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected) return;
    this.#describe();
    if (name === "fit" || name === "controls") return;
    this.#capturedUs = 0;
    this.#stop();
    this.#sync();
  }

  #describe() {
    const { camera, view, base } = this.#wanted();
    this.#shell.name(camera, view);
    this.#shell.setFit(this.getAttribute("fit") ?? "");
    this.#shell.showControls(this.hasAttribute("controls"));
    this.#shell.snapshot.href = mountedUrl(base, `live/${camera}/snapshot.jpg`, { view }).href;
    this.#shell.snapshot.download = `${view ? `${camera}-${view}` : camera}.jpg`;
  }

  #wanted() {
    const view = this.getAttribute("view") ?? "";
    return {
      base: this.getAttribute("base") ?? "/",
      camera: encodeURIComponent(this.getAttribute("camera") ?? ""),
      view: view === "raw" ? "" : view,
      width: Number(this.getAttribute("width")) || null,
    };
  }

  #onVisibility = () => this.#sync();

  /** @param {IntersectionObserverEntry[]} entries */
  #seen(entries) {
    clearTimeout(this.#farTimer);
    const near = entries[entries.length - 1].isIntersecting;
    const apply = () => {
      this.#near = near;
      this.#sync();
    };
    if (near) apply();
    else this.#farTimer = setTimeout(apply, FAR_GRACE_MS);
  }

  #sync() {
    const wanted = this.#near && document.visibilityState === "visible" && Boolean(this.getAttribute("camera"));
    if (!wanted) this.#stop();
    else if (!this.#session) void this.#start();
  }

  async #start() {
    const start = ++this.#starts;
    const rungs = await ladder(this.getAttribute("format") ?? "");
    if (start !== this.#starts || this.#session) return;
    this.#session = new Session(this.#wanted(), rungs, {
      state: (state) => this.#setState(state),
      attach: (painter, rung) => this.#attach(painter, rung),
      painted: (painter, picture, meta) => this.#painted(painter, picture, meta),
      stream: (info) => this.#stream(info),
    });
  }

  #stop() {
    this.#starts += 1;
    if (!this.#session) return;
    this.#framesDecodedBefore += this.#session.framesDecoded;
    this.#session.stop();
    this.#session = null;
    this.#setState(IDLE);
  }

  /** @param {PlayerState} state */
  #setState(state) {
    this.#state = state;
    this.#shell.showState(state);
    this.#showAge();
    this.dispatchEvent(new CustomEvent("ninjacam-state", { bubbles: true, composed: true, detail: { ...state } }));
  }

  /** @param {StreamInfo} info */
  #stream(info) {
    this.#codec = info.codec;
  }

  /**
   * @param {Painter} painter
   * @param {string} rung
   */
  #attach(painter, rung) {
    this.#rung = rung;
    this.#onStage.add(painter);
    this.#shell.stage.prepend(painter.element);
  }

  /**
   * @param {Painter} painter
   * @param {Picture} picture
   * @param {PaintMeta} meta
   */
  #painted(painter, picture, meta) {
    if (this.#shown !== painter) {
      for (const other of this.#onStage) if (other !== painter) this.#remove(other);
      this.#shown = painter;
    }
    if (meta.width !== this.#size.width || meta.height !== this.#size.height) {
      this.#size = { width: meta.width, height: meta.height };
      this.style.setProperty("--ninjacam-aspect", `${meta.width} / ${meta.height}`);
    }
    this.#capturedUs = meta.capturedUs;
    this.#paintedAt = performance.now();
    this.#latencyMs = this.ageMs;
    this.#framesPainted += 1;
    this.#paints.push(this.#paintedAt);
    if (this.#paints.length > 240) this.#paints.splice(0, 120);
    this.onframe?.(picture, { ...meta, ageMs: this.#latencyMs, rung: this.#rung });
  }

  /** @param {Painter} painter */
  #remove(painter) {
    this.#onStage.delete(painter);
    if (this.#shown === painter) this.#shown = null;
    painter.element.remove();
    painter.dispose();
  }

  #showAge() {
    if (!this.#paintedAt || this.state === "idle") return this.#shell.showAge("", false);
    const live = this.state === "live";
    const ageMs = live ? this.#latencyMs : (this.ageMs ?? performance.now() - this.#paintedAt);
    if (ageMs === null) return this.#shell.showAge(strings.live, live);
    this.#shell.showAge(say(live ? "age_live" : "age_old", { age: sayAge(ageMs) }), live);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!this.hasAttribute("controls") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "f") this.#toggleFullscreen();
    else if (event.key === "s") this.#shell.snapshot.click();
  }

  #toggleFullscreen() {
    const done = document.fullscreenElement === this ? document.exitFullscreen() : this.requestFullscreen?.();
    done?.catch(() => {}); // refused by the page's policy: nothing to say
  }
}

adoptPageStrings();
if (!customElements.get("ninjacam-player")) customElements.define("ninjacam-player", NinjacamPlayer);
