// <ninjacam-player camera="door" view="edges" base="/cam/" [format] [fit] [controls] [stream] [width] [overlay="faces plates"]>
// The player element. It receives video only while it is visible. It starts live; `seek` switches to recordings.

import { connectionTo, mountedUrl } from "./connection.js";
import { DisplayWidth } from "./display-width.js";
import { ladder } from "./ladder.js";
import { FrameHold } from "./frame-hold.js";
import { Overlay } from "./overlay.js";
import { StillPlayback } from "../replay/still-playback.js";
import { Playback } from "../replay/playback.js";
import { Session } from "./session.js";
import { Shell } from "./shell.js";
import { Zoom } from "./zoom.js";
import { adoptPageStrings, say, sayAge, sayMoment, strings } from "./strings.js";

/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").FrameImage} FrameImage */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */
/** @typedef {import("./session.js").PlayerState} PlayerState */
/** @typedef {import("../replay/playback.js").PlaybackHost} PlaybackHost */
/** @typedef {import("../replay/playback.js").PlaybackState} PlaybackState */
/** @typedef {import("../replay/playback.js").Replay} Replay */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */
/** @typedef {{ element: HTMLElement, dispose: () => void }} Staged a painter of live or recorded video */

const NEAR = "300px"; // a player this close to the window already plays, so that scrolling reveals running video
const FAR_GRACE_MS = 800;
const BADGE_EVERY_MS = 500;
const FPS_WINDOW_MS = 2000;
const MIN_RATE = 0.1;
const MAX_RATE = 16; // Chromium's maximum
const FAR_MS = 60_000; // at this distance from where stills were needed, the codec may be playable again
const NOTE_MS = 4000;
/** @type {PlayerState} */
const IDLE = { state: "idle", code: "", message: "", viewError: null };

export class NinjacamPlayer extends HTMLElement {
  static observedAttributes = ["camera", "view", "base", "format", "fit", "controls", "stream", "width", "overlay"];
  /** The texts of all players. Change them before the first player is connected. */
  static strings = strings;

  /**
   * Called for each displayed frame. The image is valid during the call only.
   * @type {((image: FrameImage, meta: PaintMeta & { ageMs: number | null, rung: string }) => void) | null}
   */
  onframe = this.onframe ?? null; // it may have been set before the element was defined

  #shell = new Shell(this);
  #hold = new FrameHold();
  #overlay = new Overlay(this.#shell.stage, this.#hold);
  #display = new DisplayWidth(this.#shell.stage);
  #zoom = new Zoom(this, this.#shell.stage, (scale) => (this.#display.zoom = scale));
  /** @type {Session | null} */
  #session = null;
  /** @type {Replay | null} */
  #replay = null;
  #playing = true;
  #rate = 1;
  #muted = true;
  #held = false;
  #starts = 0; // number of calls of #start, to identify the latest
  #near = false;
  #farTimer = 0;
  #badgeTimer = 0;
  /** @type {IntersectionObserver | null} */
  #observer = null;
  /** @type {Staged | null} the topmost, which has painted or soon will */
  #shown = null;
  /** @type {Set<Staged>} on the stage */
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
  /** @type {number[]} performance.now() of the last frames */
  #paints = [];

  constructor() {
    super();
    this.#shell.fullscreen.addEventListener("click", () => this.#toggleFullscreen());
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("dblclick", () => {
      if (this.#zoom.scale > 1) this.#zoom.reset();
      else if (this.hasAttribute("controls")) this.#toggleFullscreen();
    });
  }

  /**
   * Live: "idle", "connecting", "live", "stalled", "reconnecting", "asleep", "failed", "disabled", "unknown" or
   * "error".
   * In replay: "seeking", "playing", "paused", "gap", "ended" or "error".
   */
  get state() {
    return this.#state.state;
  }

  /** "live" or "replay"; the event "modechange" reports changes. */
  get mode() {
    return this.#replay ? "replay" : "live";
  }

  /** The annotations drawn now, by view of `overlay`. */
  get annotations() {
    return this.#overlay.annotations;
  }

  /** Capture time of the displayed or sought frame; the event "positionchange" reports changes. */
  get position() {
    if (this.#replay) return new Date(this.#replay.frameMs);
    return this.#capturedUs ? new Date(this.#capturedUs / 1000) : null;
  }

  get paused() {
    return this.#replay !== null && !this.#playing;
  }

  /** Playback rate of recordings: 0.1 to 16. */
  get rate() {
    return this.#rate;
  }

  set rate(value) {
    if (!(value > 0)) throw new RangeError("The rate must be above 0.");
    this.#rate = Math.min(MAX_RATE, Math.max(MIN_RATE, value));
    this.#replay?.setRate(this.#rate);
  }

  /** Whether the sound of recordings is off. */
  get muted() {
    return this.#muted;
  }

  set muted(value) {
    this.#muted = value;
    this.#replay?.mute(value);
  }

  /** Whether clock.js controls the time: the player then waits in gaps, and does not go live at the end. */
  get held() {
    return this.#held;
  }

  set held(value) {
    this.#held = value;
    if (this.#replay) this.#replay.holdsGaps = value;
  }

  /** The playback of recordings, for clock.js; null while live. */
  get replay() {
    return this.#replay;
  }

  /** Show the recorded frame at this time, and play on from there unless paused. @param {Date | number} when */
  seek(when) {
    const wallMs = Number(when);
    if (!Number.isFinite(wallMs)) throw new RangeError("Invalid time: pass a valid Date.");
    if (wallMs >= this.#nowMs() && !this.#held) return this.goLive();
    const isFar = this.#replay instanceof StillPlayback && Math.abs(wallMs - this.#replay.nowMs) > FAR_MS;
    if (this.#replay && this.state !== "error" && !isFar) this.#replay.seek(wallMs);
    else this.#startReplay(wallMs);
    this.#dispatchPosition();
  }

  goLive() {
    if (!this.#replay) return;
    this.#replay.close(); // its last frame stays visible until the first live one
    this.#replay = null;
    this.#playing = true;
    this.#capturedUs = 0;
    this.#setState(IDLE);
    this.#sync();
    this.dispatchEvent(new CustomEvent("modechange", { bubbles: true, composed: true, detail: { mode: "live" } }));
  }

  play() {
    this.#playing = true;
    this.#replay?.play();
  }

  /** Pause. Live video switches to the recording at the displayed frame. */
  pause() {
    this.#playing = false;
    if (this.#replay) this.#replay.pause();
    else this.#startReplay(Number(this.position ?? this.#nowMs()));
  }

  /** Pause, and step by `count` frames; negative: backward. @param {number} count */
  step(count) {
    if (!this.#replay) return this.pause();
    this.#playing = false;
    this.#replay.step(count);
  }

  /** @param {number} wallMs */
  #startReplay(wallMs) {
    const before = this.#replay;
    before?.close();
    this.#stop();
    const { base, camera } = this.#wanted();
    /** @type {Replay | null} */
    let replay = null;
    replay = new Playback({ base, camera }, this.#replayHost(() => this.#replay === replay), wallMs);
    this.#overlay.replay({ base, camera }, wallMs);
    this.#take(replay, "recording");
    if (before) return;
    this.#paints = [];
    this.dispatchEvent(new CustomEvent("modechange", { bubbles: true, composed: true, detail: { mode: "replay" } }));
  }

  /**
   * @param {Replay} replay
   * @param {string} rung
   */
  #take(replay, rung) {
    this.#replay = replay;
    replay.holdsGaps = this.#held;
    replay.setRate(this.#rate);
    replay.mute(this.#muted);
    if (!this.#playing) replay.pause();
    this.#shell.showNote("");
    this.#attach(replay, rung);
    this.#setReplayState(replay.state);
  }

  /**
   * @param {() => boolean} isPresent whether this playback is still the current one
   * @returns {PlaybackHost}
   */
  #replayHost(isPresent) {
    return {
      painted: (image, meta) => {
        if (isPresent() && this.#replay) this.#painted(this.#replay, image, meta);
      },
      state: (state) => {
        if (isPresent()) this.#setReplayState(state);
      },
      skipped: (untilMs) => {
        if (isPresent()) this.#shell.showNote(say("skipped", { time: sayMoment(untilMs) }), NOTE_MS);
      },
      caughtUp: () => {
        if (!isPresent()) return;
        if (this.#held) this.dispatchEvent(new CustomEvent("caughtup"));
        else this.goLive();
      },
      failed: (code, message) => {
        if (isPresent()) this.#replayFailed(code, message);
      },
      nowMs: () => this.#nowMs(),
    };
  }

  /** @param {PlaybackState} state */
  #setReplayState(state) {
    this.#setState({ state, code: "", message: "", viewError: null });
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #replayFailed(code, message) {
    const failed = /** @type {Replay} */ (this.#replay);
    const playable = code === "unsupported_codec" || code === "decode_error";
    if (!playable || failed instanceof StillPlayback) {
      return this.#setState({ state: "error", code, message, viewError: null });
    }
    console.warn(`ninjacam: recordings are shown as stills: ${code} ${message}`);
    const { base, camera } = this.#wanted();
    /** @type {Replay | null} */
    let stills = null;
    const host = this.#replayHost(() => this.#replay === stills);
    stills = new StillPlayback({ base, camera }, host, failed.nowMs, this.#playing);
    this.#take(stills, "stills");
    this.#shell.showNote(say("stills_only"));
  }

  /** The server's wall clock, or the browser's while it is unknown. */
  #nowMs() {
    return connectionTo(this.#wanted().base).clock.nowMs() ?? Date.now();
  }

  #dispatchPosition() {
    const { position } = this;
    if (!position) return;
    this.dispatchEvent(new CustomEvent("positionchange", { bubbles: true, composed: true, detail: { position } }));
  }

  /** Age of the displayed frame in ms; null before the first one, or while the server's clock is unknown. */
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
      stream: this.#session?.stream ?? "",
      ...this.#size,
      fps: spanMs ? ((recent.length - 1) * 1000) / spanMs : 0,
      latencyMs: this.#latencyMs,
    };
  }

  connectedCallback() {
    if (!this.hasAttribute("tabindex") && this.hasAttribute("controls")) this.tabIndex = 0;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#observer = new IntersectionObserver((entries) => this.#intersected(entries), { rootMargin: NEAR });
    this.#observer.observe(this);
    this.#display.observe();
    this.#badgeTimer = setInterval(() => this.#showAge(), BADGE_EVERY_MS);
    this.#describe();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#observer?.disconnect();
    this.#display.disconnect();
    clearInterval(this.#badgeTimer);
    clearTimeout(this.#farTimer);
    this.#near = false;
    this.#replay?.close();
    this.#replay = null;
    this.#stop();
    for (const painter of this.#onStage) this.#remove(painter);
    this.#overlay.clear();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(name, before, after) {
    if (before === after || !this.isConnected) return;
    this.#describe();
    if (name === "fit" || name === "controls" || name === "overlay") return;
    this.goLive();
    this.#capturedUs = 0;
    this.#stop();
    this.#sync();
  }

  #describe() {
    const { camera, view, base, stream } = this.#wanted();
    this.#shell.name(camera, view);
    this.#shell.setFit(this.getAttribute("fit") ?? "");
    this.#shell.showControls(this.hasAttribute("controls"));
    this.#zoom.enabled = this.hasAttribute("controls");
    this.#overlay.fit = this.#display.fit = this.getAttribute("fit") ?? "";
    this.#overlay.watch((this.getAttribute("overlay") ?? "").split(/[\s,]+/).filter(Boolean));
    this.#shell.snapshot.href = mountedUrl(base, `live/${camera}/snapshot.jpg`, { view, stream }).href;
    this.#shell.snapshot.download = `${view ? `${camera}-${view}` : camera}.jpg`;
  }

  #wanted() {
    const view = this.getAttribute("view") ?? "";
    return {
      base: this.getAttribute("base") ?? "/",
      camera: encodeURIComponent(this.getAttribute("camera") ?? ""),
      view: view === "raw" ? "" : view,
      stream: this.getAttribute("stream") ?? "",
      width: Number(this.getAttribute("width")) || null,
    };
  }

  #onVisibility = () => this.#sync();

  /** @param {IntersectionObserverEntry[]} entries */
  #intersected(entries) {
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
    if (this.#replay) return;
    const wanted = this.#near && document.visibilityState === "visible" && Boolean(this.getAttribute("camera"));
    if (!wanted) this.#stop();
    else if (!this.#session) void this.#start();
  }

  async #start() {
    const start = ++this.#starts;
    const rungs = await ladder(this.getAttribute("format") ?? "");
    if (start !== this.#starts || this.#session) return;
    this.#overlay.live(this.#wanted());
    this.#session = new Session(this.#wanted(), rungs, {
      state: (state) => this.#setState(state),
      attach: (painter, rung) => this.#attach(painter, rung),
      detach: (painter) => this.#remove(painter),
      painted: (painter, image, meta) => this.#painted(painter, image, meta),
      stream: (info) => this.#stream(info),
      widthPx: () => this.#display.px,
      hold: this.#hold,
    });
  }

  #stop() {
    this.#starts += 1;
    this.#overlay.stop();
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
   * @param {Staged} painter
   * @param {string} rung
   */
  #attach(painter, rung) {
    if (this.#onStage.has(painter)) return;
    this.#rung = rung;
    this.#onStage.add(painter);
    this.#shell.stage.prepend(painter.element);
  }

  /**
   * @param {Staged} painter
   * @param {FrameImage} image
   * @param {PaintMeta} meta
   */
  #painted(painter, image, meta) {
    if (this.#shown !== painter) {
      for (const other of this.#onStage) {
        if (other === painter) break; // those after it are about to be displayed
        this.#remove(other);
      }
      this.#shown = painter;
    }
    if (meta.width !== this.#size.width || meta.height !== this.#size.height) {
      this.#size = { width: meta.width, height: meta.height };
      this.#display.displayed(meta.width, meta.height);
      this.style.setProperty("--ninjacam-aspect", `${meta.width} / ${meta.height}`);
    }
    this.#capturedUs = meta.capturedUs;
    this.#paintedAt = performance.now();
    this.#latencyMs = this.ageMs;
    this.#framesPainted += 1;
    this.#paints.push(this.#paintedAt);
    if (this.#paints.length > 240) this.#paints.splice(0, 120);
    this.#overlay.show(meta);
    this.onframe?.(image, { ...meta, ageMs: this.#latencyMs, rung: this.#rung });
    if (this.#replay) this.#showAge();
    this.#dispatchPosition();
  }

  /** @param {Staged} painter */
  #remove(painter) {
    this.#onStage.delete(painter);
    if (this.#shown === painter) this.#shown = null;
    painter.element.remove();
    painter.dispose();
  }

  #showAge() {
    if (this.#replay) return this.#shell.showAge(sayMoment(this.position), false);
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
    else if (this.#zoom.key(event.key)) event.preventDefault();
  }

  #toggleFullscreen() {
    const done = document.fullscreenElement === this ? document.exitFullscreen() : this.requestFullscreen?.();
    done?.catch(() => {}); // refused by the page's permissions policy
  }
}

adoptPageStrings();
if (!customElements.get("ninjacam-player")) customElements.define("ninjacam-player", NinjacamPlayer);
