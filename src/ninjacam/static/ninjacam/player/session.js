// One player's life while it is watched: goes down the ladder, changes streams without a gap, and reports its state.
// Not here: anything that is seen (player.js, shell.js), and which stream is the right one (stream-choice.js).

import { connectionTo } from "./connection.js";
import { LiveStream } from "./live-stream.js";
import { StreamChoice, timing } from "./stream-choice.js";

/** @typedef {import("./ladder.js").Rung} Rung */
/** @typedef {import("./live-stream.js").LiveStreamHost} LiveStreamHost */
/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").FrameImage} FrameImage */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */
/** @typedef {import("./stream-choice.js").StreamSelection} StreamSelection */
/** @typedef {import("./wire.js").MediaFrame} MediaFrame */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */
/** @typedef {import("./connection.js").ViewError} ViewError */
/** @typedef {import("./connection.js").Link} Link */

/**
 * @typedef {object} Wanted
 * @property {string} base
 * @property {string} camera
 * @property {string} view
 * @property {string} stream empty: chosen by width
 * @property {number | null} width null: that of the display, for the camera's own video
 */

/**
 * `code` is the reason, if there is one; `message` is the server's message for users, or empty.
 * @typedef {object} PlayerState
 * @property {"idle" | "connecting" | "live" | "stalled" | "reconnecting" | "asleep" | "failed" | "disabled" | "unknown"
 *   | "error" | import("../replay/playback.js").PlaybackState} state
 * @property {string} code
 * @property {string} message
 * @property {ViewError | null} viewError
 */

/**
 * @typedef {object} SessionHost
 * @property {(state: PlayerState) => void} state only when it changed
 * @property {(painter: Painter, rung: string) => void} attach insert the painter's element below the displayed one
 * @property {(painter: Painter) => void} detach it will not be displayed
 * @property {(painter: Painter, image: FrameImage, meta: PaintMeta) => void} painted
 * @property {(info: StreamInfo) => void} stream the displayed stream has changed
 * @property {() => number} widthPx of the display, in device pixels
 * @property {import("./frame-hold.js").FrameHold} hold
 */

const WATCH_EVERY_MS = 250;
const CATCH_UP_UNTIMED_MS = 200; // without capture times: until the cached frames of a new stream have passed
const REFUSED_RETRY_MS = 10000;
const FAILURES_WINDOW_MS = 15000;

export class Session {
  #wanted;
  #rungs;
  #host;
  #connection;
  #rung = 0;
  /** @type {StreamChoice | null} null: the stream is fixed */
  #choice;
  /** @type {LiveStream | null} displayed, or about to be the first */
  #current = null;
  /** @type {LiveStream | null} replaces #current as soon as it paints */
  #next = null;
  /** @type {{ code: string, message: string } | null} */
  #error = null;
  #everPainted = false;
  #framesDecodedBefore = 0;
  /** @type {number[]} times at which the current rung failed */
  #failures = [];
  #watchTimer = 0;
  #retryTimer = 0;
  #reason = ""; // why the last painter gave up
  #reported = "";
  bytesReceived = 0;
  framesReceived = 0;
  /** @type {Omit<LiveStreamHost, "hold">} */
  #streamHost = {
    described: (stream) => this.#described(stream),
    painted: (stream, image, meta) => this.#painted(stream, image, meta),
    painterFailed: (stream, reason, fatal) => this.#painterFailed(stream, reason, fatal),
    refused: (stream, code, message) => (stream === this.#next ? this.#giveUpNext() : this.#refused(code, message)),
    lost: (stream) => stream === this.#current && this.#choice?.lost(performance.now()),
    linked: (stream, link) => this.#linked(stream, link),
    changed: () => this.#report(),
    received: (frame) => this.#received(frame),
  };

  /**
   * @param {Wanted} wanted
   * @param {Rung[]} rungs
   * @param {SessionHost} host
   */
  constructor(wanted, rungs, host) {
    this.#wanted = wanted;
    this.#rungs = rungs;
    this.#host = host;
    // A view is processed once, in one size, for all its viewers.
    const isChosen = !wanted.stream && !wanted.width && !wanted.view;
    this.#choice = isChosen ? new StreamChoice(host.widthPx()) : null;
    this.#connection = connectionTo(wanted.base);
    this.#watchTimer = setInterval(() => this.#watch(), WATCH_EVERY_MS);
    this.#subscribe();
  }

  /** The server's wall clock in ms; null while it is unknown. */
  serverNowMs() {
    return this.#connection.clock.nowMs();
  }

  /** Name of the displayed stream; empty: unknown. */
  get stream() {
    return this.#current?.info?.source ?? "";
  }

  get framesDecoded() {
    return this.#framesDecodedBefore + (this.#current?.framesDecoded ?? 0) + (this.#next?.framesDecoded ?? 0);
  }

  stop() {
    clearInterval(this.#watchTimer);
    clearTimeout(this.#retryTimer);
    this.#closeStreams();
  }

  // --- the displayed stream ---

  /** Begin on the present rung. */
  #subscribe() {
    clearTimeout(this.#retryTimer);
    this.#closeStreams();
    this.#error = null;
    if (!this.#rungs.at(this.#rung)) {
      this.#refused("cannot_play", this.#reason);
      return;
    }
    const { stream, width } = this.#wanted;
    const selection = this.#choice?.selection ?? { stream, width };
    this.#choice?.displayed(selection, "", 0);
    this.#current = this.#open(selection);
    this.#report();
  }

  /**
   * @param {StreamSelection} selection
   * @param {() => number} [displayedUs] see LiveStream
   */
  #open(selection, displayedUs) {
    return new LiveStream(this.#wanted, selection, this.#rungs[this.#rung], { ...this.#streamHost, hold: this.#host.hold }, displayedUs);
  }

  #closeStreams() {
    this.#close(this.#next);
    this.#close(this.#current);
    this.#next = this.#current = null;
  }

  /** @param {LiveStream | null} stream */
  #close(stream) {
    if (!stream) return;
    stream.close();
    this.#framesDecodedBefore += stream.framesDecoded;
  }

  // --- changing to another stream ---

  #watch() {
    if (this.#choice && !this.#error) this.#choose(this.#choice);
    this.#report();
  }

  /** @param {StreamChoice} choice */
  #choose(choice) {
    const now = performance.now();
    if (this.#current?.isStalled && this.#current.silentMs > timing.silent) choice.silent(now);
    const selection = choice.next(now, this.#host.widthPx());
    const displayedUs = () => (this.#current?.isClosed ? 0 : (this.#current?.paintedCapturedUs ?? 0));
    if (!this.#next && selection) this.#next = this.#open(selection, displayedUs);
    else if (this.#next && now - this.#next.openedAt > timing.deliver) this.#giveUpNext();
  }

  #giveUpNext() {
    const next = this.#next;
    if (!next) return;
    console.warn(`ninjacam: no video from the requested stream of ${this.#wanted.camera}`, next.selection);
    this.#choice?.failed(performance.now());
    this.#dropNext();
    if (this.#current?.isClosed) this.#subscribe();
  }

  #dropNext() {
    const painter = this.#next?.painter;
    this.#close(this.#next);
    this.#next = null;
    if (painter) this.#host.detach(painter);
  }

  /** @param {LiveStream} stream */
  #described(stream) {
    const { info, painter } = stream;
    if (!info || !painter) return;
    if (stream === this.#next && this.#current && stream.isSameAs(this.#current)) {
      this.#choice?.confirmed(stream.selection);
      return this.#dropNext();
    }
    this.#host.attach(painter, this.#rungs[this.#rung].name);
    if (stream === this.#current) this.#describe(stream, info);
    else if (this.#choice?.isTooSlow) this.#current?.close(); // otherwise its frames delay those of the smaller stream
  }

  /**
   * @param {LiveStream} stream is displayed
   * @param {StreamInfo} info
   */
  #describe(stream, info) {
    this.#choice?.displayed(stream.selection, info.source ?? "", info.width);
    this.#host.stream(info);
  }

  /**
   * Whether the next stream can be displayed: its frames are as new as those that it replaces.
   * @param {LiveStream} next
   * @param {PaintMeta} meta
   */
  #isReady(next, { capturedUs }) {
    const sinceMs = performance.now() - next.firstPaintedAt;
    if (!capturedUs) return sinceMs >= CATCH_UP_UNTIMED_MS;
    return capturedUs >= (this.#current?.paintedCapturedUs ?? 0) || sinceMs >= timing.catchUp;
  }

  /** @param {LiveStream} next */
  #swap(next) {
    const before = this.#current;
    this.#current = next;
    this.#next = null;
    this.#choice?.switched(performance.now());
    if (next.info) this.#describe(next, next.info);
    this.#close(before);
  }

  // --- callbacks of the streams ---

  /**
   * @param {LiveStream} stream
   * @param {FrameImage} image
   * @param {PaintMeta} meta
   */
  #painted(stream, image, meta) {
    if (stream === this.#next && this.#isReady(stream, meta)) this.#swap(stream);
    if (stream !== this.#current || !stream.painter) return;
    this.#everPainted = true;
    if (this.#choice?.recovered()) this.#dropNext();
    this.#host.painted(stream.painter, image, meta);
    this.#report();
  }

  /** @param {MediaFrame} frame */
  #received(frame) {
    this.framesReceived += 1;
    this.bytesReceived += frame.payload.byteLength;
  }

  /**
   * Retry this rung once, then use the next one.
   * @param {LiveStream} stream
   * @param {string} reason
   * @param {boolean} fatal
   */
  #painterFailed(stream, reason, fatal) {
    if (stream === this.#next) return this.#giveUpNext();
    const now = performance.now();
    this.#failures = [...this.#failures.filter((at) => now - at < FAILURES_WINDOW_MS), now];
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
   * The subscription has ended. A grant, a view or a camera may be added later, so retry from the top rung.
   * @param {string} code
   * @param {string} message
   */
  #refused(code, message) {
    this.#closeStreams();
    if (code === "unsupported_codec" && this.#rung < this.#rungs.length - 1) return this.#descend();
    this.#error = { code, message };
    this.#retryTimer = setTimeout(() => {
      this.#rung = 0;
      this.#subscribe();
    }, REFUSED_RETRY_MS);
    this.#report();
  }

  /**
   * @param {LiveStream} stream
   * @param {Link} link
   */
  #linked(stream, link) {
    if (stream !== this.#current) return;
    if (link !== "up" && stream.paintedAt) this.#choice?.lost(performance.now());
    if (link === "unavailable" && this.#rungs.at(-1)?.format === null) {
      this.#rung = this.#rungs.length - 1;
      this.#subscribe();
    }
    this.#report();
  }

  // --- state ---

  #report() {
    const next = { ...this.#currentState(), viewError: this.#current?.viewError ?? null };
    const text = JSON.stringify(next);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#host.state(next);
  }

  /** @returns {Omit<PlayerState, "viewError">} */
  #currentState() {
    if (this.#error) return { state: "error", ...this.#error };
    const current = this.#current;
    const link = current?.link ?? this.#connection.link;
    if (link === "refused") return { state: "error", code: "not_authenticated", message: "" };
    if (link !== "up") return { state: this.#everPainted ? "reconnecting" : "connecting", code: "", message: "" };
    const { state, message } = current?.camera ?? { state: "", message: "" };
    if (state && state !== "live") return { state: /** @type {PlayerState["state"]} */ (state), code: "", message };
    if (current?.isBlocked) return { state: "connecting", code: "blocked", message: "" };
    if (!current?.paintedAt) return { state: "connecting", code: "", message };
    return { state: current.isStalled ? "stalled" : "live", code: "", message };
  }
}
