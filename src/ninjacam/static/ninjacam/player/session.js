// One player's life while it is watched: goes down the ladder, joins transport and painter, notices silence, says how it is.
// Not here: anything that is seen (player.js, shell.js).

import { connectionTo } from "./connection.js";
import { JpegPainter } from "./jpeg.js";
import { watchMjpeg } from "./mjpeg.js";
import { MsePainter } from "./mse.js";
import { WebCodecsPainter } from "./webcodecs.js";

/** @typedef {import("./ladder.js").Rung} Rung */
/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").Picture} Picture */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */
/** @typedef {import("./wire.js").MediaFrame} MediaFrame */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */
/** @typedef {import("./connection.js").ViewError} ViewError */
/** @typedef {import("./connection.js").Link} Link */

/**
 * @typedef {object} Wanted
 * @property {string} base
 * @property {string} camera
 * @property {string} view
 * @property {number | null} width
 */

/**
 * `code` is the reason, if there is one; `message` is the server's message for people, or empty.
 * @typedef {object} PlayerState
 * @property {"idle" | "connecting" | "live" | "stalled" | "reconnecting" | "failed" | "disabled" | "unknown" | "error"
 *   | import("../replay/playback.js").PlaybackState} state
 * @property {string} code
 * @property {string} message
 * @property {ViewError | null} viewError
 */

/**
 * @typedef {object} SessionHost
 * @property {(state: PlayerState) => void} state only when it changed
 * @property {(painter: Painter, rung: string) => void} attach put it under the picture that is there
 * @property {(painter: Painter, picture: Picture, meta: PaintMeta) => void} painted
 * @property {(info: StreamInfo) => void} stream
 */

const SILENCE_MS = 2500; // live without a frame for this long: stalled
const BLIND_MS = 4000; // frames come, and none is painted: this rung does not work here
const WATCH_EVERY_MS = 250;
const REFUSED_RETRY_MS = 10000;
const FAILURES_WINDOW_MS = 15000;
const CAMERA_STATES = new Set(["connecting", "live", "stalled", "reconnecting", "failed", "disabled", "unknown"]);
const PAINTERS = { annexb: WebCodecsPainter, fmp4: MsePainter, jpeg: JpegPainter };

export class Session {
  #wanted;
  #rungs;
  #host;
  #connection;
  #rung = 0;
  /** @type {Painter | null} */
  #painter = null;
  #format = "";
  #unsubscribe = () => {};
  /** @type {Link} */
  #link = "up";
  #camera = { state: "", message: "" };
  /** @type {ViewError | null} */
  #viewError = null;
  /** @type {{ code: string, message: string } | null} */
  #error = null;
  #blocked = false;
  #everPainted = false;
  #paintedAt = 0;
  #blindSince = 0; // the first key frame after the last painted picture, as long as frames keep coming
  #receivedAt = 0;
  #frameMs = 40;
  /** @type {number[]} when the present rung failed */
  #failures = [];
  #watchTimer = 0;
  #retryTimer = 0;
  #reason = ""; // why the last painter gave up
  #said = "";
  bytesReceived = 0;
  framesReceived = 0;

  /**
   * @param {Wanted} wanted
   * @param {Rung[]} rungs
   * @param {SessionHost} host
   */
  constructor(wanted, rungs, host) {
    this.#wanted = wanted;
    this.#rungs = rungs;
    this.#host = host;
    this.#connection = connectionTo(wanted.base);
    this.#watchTimer = setInterval(() => this.#say(), WATCH_EVERY_MS);
    this.#subscribe();
  }

  /** The server's wall clock in ms; null: it has not told. */
  serverNowMs() {
    return this.#connection.clock.nowMs();
  }

  get framesDecoded() {
    return this.#painter?.framesDecoded ?? 0;
  }

  stop() {
    clearInterval(this.#watchTimer);
    clearTimeout(this.#retryTimer);
    this.#unsubscribe();
    this.#painter?.close();
    this.#painter = null;
  }

  #subscribe() {
    clearTimeout(this.#retryTimer);
    this.#unsubscribe();
    this.#error = null;
    this.#blindSince = 0;
    this.#camera = { state: "", message: "" };
    const rung = this.#rungs.at(this.#rung);
    if (!rung) {
      this.#refused("cannot_play", this.#reason);
      return;
    }
    const handlers = {
      onstream: (/** @type {StreamInfo} */ info) => this.#stream(info),
      onframe: (/** @type {MediaFrame} */ frame) => this.#frame(frame),
      onstate: this.#told.bind(this),
      onerror: this.#refused.bind(this),
      onlink: this.#linked.bind(this),
    };
    if (rung.format) {
      const { camera, view, width } = this.#wanted;
      const request = { camera, view, width, format: rung.format, codecs: rung.codecs };
      this.#link = this.#connection.link;
      this.#unsubscribe = this.#connection.subscribe(request, handlers);
    } else {
      this.#unsubscribe = watchMjpeg(this.#wanted, handlers);
    }
    this.#say();
  }

  /** @param {StreamInfo} info */
  #stream(info) {
    if (!this.#painter || this.#format !== info.format) {
      this.#painter?.close();
      this.#format = info.format;
      this.#painter = this.#makePainter(info.format);
      this.#host.attach(this.#painter, this.#rungs[this.#rung].name);
    }
    this.#host.stream(info);
    this.#painter.configure(info);
  }

  /**
   * @param {StreamInfo["format"]} format
   * @returns {Painter}
   */
  #makePainter(format) {
    /** @type {Painter} */
    const painter = new PAINTERS[format]({
      painted: (picture, meta) => this.#painter === painter && this.#painted(picture, meta),
      failed: (reason, fatal) => this.#painter === painter && this.#painterFailed(reason, fatal),
      blocked: () => this.#setBlocked(true),
    });
    return painter;
  }

  /** @param {MediaFrame} frame */
  #frame(frame) {
    this.framesReceived += 1;
    this.bytesReceived += frame.payload.byteLength;
    if (frame.durationUs) this.#frameMs = frame.durationUs / 1000;
    const now = performance.now();
    if (now - this.#receivedAt > SILENCE_MS / 2) this.#blindSince = 0;
    this.#receivedAt = now;
    if (frame.key) this.#blindSince ||= now;
    this.#painter?.push(frame);
    if (this.#blindSince && now - this.#blindSince > BLIND_MS && !this.#blocked) {
      this.#painterFailed("Frames came, and none was shown.", true);
    }
  }

  /**
   * @param {Picture} picture
   * @param {PaintMeta} meta
   */
  #painted(picture, meta) {
    this.#paintedAt = performance.now();
    this.#blindSince = 0;
    this.#everPainted = true;
    this.#blocked = false;
    if (this.#painter) this.#host.painted(this.#painter, picture, meta);
    this.#say();
  }

  /**
   * Once more on this rung, then the next one.
   * @param {string} reason
   * @param {boolean} fatal
   */
  #painterFailed(reason, fatal) {
    const now = performance.now();
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURES_WINDOW_MS), now];
    this.#painter?.close();
    this.#painter = null;
    this.#reason = reason;
    console.warn(`ninjacam: ${this.#rungs[this.#rung]?.name} failed for ${this.#wanted.camera}: ${reason}`);
    if (fatal || this.#failures.length >= 2) return this.#descend();
    this.#subscribe();
  }

  #descend() {
    this.#failures = [];
    this.#rung += 1;
    this.#subscribe();
  }

  /**
   * @param {string} state
   * @param {string} message
   * @param {ViewError | null} viewError
   */
  #told(state, message, viewError) {
    this.#camera = { state: CAMERA_STATES.has(state) ? state : "unknown", message };
    this.#viewError = viewError;
    this.#say();
  }

  /**
   * The subscription is over; a grant, a view or a camera may come later, so ask again now and then, from the top.
   * @param {string} code
   * @param {string} message
   */
  #refused(code, message) {
    this.#unsubscribe();
    this.#unsubscribe = () => {};
    if (code === "unsupported_codec" && this.#rung < this.#rungs.length - 1) return this.#descend();
    this.#error = { code, message };
    this.#retryTimer = setTimeout(() => {
      this.#rung = 0;
      this.#subscribe();
    }, REFUSED_RETRY_MS);
    this.#say();
  }

  /** @param {Link} link */
  #linked(link) {
    this.#link = link;
    this.#blindSince = 0;
    if (link === "unavailable" && this.#rungs.at(-1)?.format === null) {
      this.#rung = this.#rungs.length - 1;
      this.#subscribe();
    }
    this.#say();
  }

  /** @param {boolean} blocked */
  #setBlocked(blocked) {
    this.#blocked = blocked;
    this.#say();
  }

  #say() {
    const next = { ...this.#judge(), viewError: this.#viewError };
    const text = JSON.stringify(next);
    if (text === this.#said) return;
    this.#said = text;
    this.#host.state(next);
  }

  /** @returns {Omit<PlayerState, "viewError">} */
  #judge() {
    if (this.#error) return { state: "error", ...this.#error };
    if (this.#link === "refused") return { state: "error", code: "not_authenticated", message: "" };
    if (this.#link !== "up") return { state: this.#everPainted ? "reconnecting" : "connecting", code: "", message: "" };
    const { state, message } = this.#camera;
    if (state && state !== "live") return { state: /** @type {PlayerState["state"]} */ (state), code: "", message };
    if (this.#blocked) return { state: "connecting", code: "blocked", message: "" };
    if (!this.#paintedAt) return { state: "connecting", code: "", message };
    const silentMs = performance.now() - this.#paintedAt;
    if (silentMs > Math.max(SILENCE_MS, 3 * this.#frameMs)) return { state: "stalled", code: "", message };
    return { state: "live", code: "", message };
  }
}
