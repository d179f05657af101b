// One subscription to a stream, and the painter of its frames. Reports losses, silence and failures, and decides nothing.

import { connectionTo } from "./connection.js";
import { JpegPainter } from "./jpeg.js";
import { watchMjpeg } from "./mjpeg.js";
import { MsePainter } from "./mse.js";
import { timing } from "./stream-choice.js";
import { WebCodecsPainter } from "./webcodecs.js";

/** @typedef {import("./connection.js").Link} Link */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */
/** @typedef {import("./connection.js").ViewError} ViewError */
/** @typedef {import("./ladder.js").Rung} Rung */
/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").FrameImage} FrameImage */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */
/** @typedef {import("./stream-choice.js").StreamSelection} StreamSelection */
/** @typedef {import("./wire.js").MediaFrame} MediaFrame */
/** @typedef {{ base: string, camera: string, view: string }} Watched */

/**
 * @typedef {object} LiveStreamHost
 * @property {(stream: LiveStream) => void} described it has `info`: before its first frame, and when that changes
 * @property {(stream: LiveStream, image: FrameImage, meta: PaintMeta) => void} painted
 * @property {(stream: LiveStream, reason: string, fatal: boolean) => void} painterFailed
 * @property {(stream: LiveStream, code: string, message: string) => void} refused the subscription has ended
 * @property {(stream: LiveStream) => void} lost this viewer is too slow, and frames were dropped
 * @property {(stream: LiveStream, link: Link) => void} linked
 * @property {() => void} changed `camera`, `viewError` or `isBlocked`
 * @property {(frame: MediaFrame) => void} received
 * @property {import("./frame-hold.js").FrameHold} hold
 */

const SILENCE_MS = 2500; // live without a frame for this long: stalled
const BLIND_MS = 4000; // frames come, and none is painted: this rung does not work here
const CACHED_US = 300_000; // a first frame this much older than the displayed one comes from the server's cache
const CAMERA_STATES = new Set(["connecting", "live", "stalled", "reconnecting", "asleep", "failed", "disabled", "unknown"]);
const PAINTERS = { annexb: WebCodecsPainter, fmp4: MsePainter, jpeg: JpegPainter };

export class LiveStream {
  selection;
  /** @type {StreamInfo | null} */
  info = null;
  /** @type {Painter | null} */
  painter = null;
  /** @type {Link} */
  link = "up";
  camera = { state: "", message: "" };
  /** @type {ViewError | null} */
  viewError = null;
  isBlocked = false; // the browser wants a gesture before it plays
  isClosed = false;
  openedAt = performance.now();
  firstPaintedAt = 0; // 0: nothing was painted
  paintedAt = 0;
  paintedCapturedUs = 0; // 0: unknown
  #host;
  #unsubscribe;
  #upAt = this.openedAt; // when the connection was last opened
  #blindSince = 0; // the first key frame after the last painted frame, while frames keep coming
  #receivedAt = 0;
  #frameMs = 40;
  #sequence = -1; // of the last frame; -1: any frame may come next
  #framesDecodedBefore = 0;
  /** @type {(() => number) | null} capture time of the displayed frame in us, 0: unknown; null: begin at any key frame */
  #displayedUs;
  /** @type {MediaFrame[]} cached frames, while a live key frame is awaited */
  #held = [];
  #heldUntil = 0;

  /**
   * @param {Watched} watched
   * @param {StreamSelection} selection
   * @param {Rung} rung
   * @param {LiveStreamHost} host
   * @param {(() => number) | null} displayedUs of the stream that this one replaces
   */
  constructor(watched, selection, rung, host, displayedUs = null) {
    this.selection = selection;
    this.#host = host;
    this.#displayedUs = displayedUs;
    const handlers = {
      onstream: (/** @type {StreamInfo} */ info) => this.#describe(info),
      onframe: (/** @type {MediaFrame} */ frame) => this.#receive(frame),
      onstate: this.#setState.bind(this),
      onerror: (/** @type {string} */ code, /** @type {string} */ message) => host.refused(this, code, message),
      onlink: (/** @type {Link} */ link) => this.#setLink(link),
    };
    const { base, camera, view } = watched;
    if (rung.format) {
      const connection = connectionTo(base);
      this.link = connection.link;
      const request = { camera, view, ...selection, format: rung.format, codecs: rung.codecs };
      this.#unsubscribe = connection.subscribe(request, handlers);
    } else {
      this.#unsubscribe = watchMjpeg({ base, camera, view, ...selection }, handlers);
    }
  }

  get framesDecoded() {
    return this.#framesDecodedBefore + (this.painter?.framesDecoded ?? 0);
  }

  /** For how long nothing was painted, though the connection is up, in ms. */
  get silentMs() {
    return this.link === "up" ? performance.now() - Math.max(this.paintedAt, this.#upAt) : 0;
  }

  get isStalled() {
    return performance.now() - this.paintedAt > Math.max(SILENCE_MS, 3 * this.#frameMs);
  }

  /** Whether the server answers with the same stream as `other`. @param {LiveStream} other */
  isSameAs(other) {
    const [mine, its] = [this.info, other.info];
    if (!mine || !its || !mine.width) return false; // not known yet
    return mine.source === its.source && mine.codec === its.codec && mine.width === its.width && mine.height === its.height;
  }

  /** The last frame stays visible until the painter is disposed of. */
  close() {
    this.isClosed = true;
    this.#unsubscribe();
    this.#closePainter();
  }

  #closePainter() {
    this.#framesDecodedBefore = this.framesDecoded;
    this.painter?.close();
    this.painter = null;
  }

  /** @param {StreamInfo} info */
  #describe(info) {
    if (!this.painter || this.info?.format !== info.format) {
      this.#closePainter();
      this.painter = this.#makePainter(info.format);
    }
    this.info = info;
    this.#sequence = -1;
    this.#host.described(this);
    this.painter?.configure(info);
  }

  /**
   * @param {StreamInfo["format"]} format
   * @returns {Painter}
   */
  #makePainter(format) {
    /** @type {Painter} */
    const painter = new PAINTERS[format]({
      painted: (image, meta) => this.painter === painter && this.#painted(image, meta),
      failed: (reason, fatal) => this.painter === painter && this.#host.painterFailed(this, reason, fatal),
      overloaded: () => this.painter === painter && this.#host.lost(this),
      blocked: () => {
        this.isBlocked = true;
        this.#host.changed();
      },
      holdMs: () => this.#host.hold.ms,
    });
    return painter;
  }

  /** @param {MediaFrame} frame */
  #receive(frame) {
    this.#host.received(frame);
    this.#host.hold.arrived(frame.capturedUs);
    if (frame.durationUs) this.#frameMs = frame.durationUs / 1000;
    const now = performance.now();
    if (now - this.#receivedAt > SILENCE_MS / 2) this.#blindSince = 0;
    this.#receivedAt = now;
    if (frame.key) this.#blindSince ||= now;
    if (this.#isAfterGap(frame)) this.#host.lost(this);
    if (this.#isHeld(frame, now)) return;
    this.painter?.push(frame);
    if (this.#blindSince && now - this.#blindSince > BLIND_MS && !this.isBlocked) {
      this.#host.painterFailed(this, "Frames came, and none was shown.", true);
    }
  }

  /**
   * Whether to wait for a live key frame instead: decoding the cached frames at once, beside the stream that is
   * displayed, makes that one stutter.
   * @param {MediaFrame} frame
   * @param {number} now
   */
  #isHeld(frame, now) {
    if (!this.#displayedUs) return false;
    const isFirst = !this.#heldUntil;
    if (isFirst) this.#heldUntil = now + timing.awaitKey;
    const ageUs = isFirst ? this.#displayedUs() - frame.capturedUs : Infinity;
    const isCached = frame.key === isFirst && frame.capturedUs > 0 && ageUs > CACHED_US && this.info?.format !== "jpeg";
    if (isCached && now < this.#heldUntil) {
      this.#held.push(frame);
      return true;
    }
    if (!frame.key) for (const each of this.#held) this.painter?.push(each);
    this.#held = [];
    this.#displayedUs = null;
    return false;
  }

  /**
   * Whether the server has dropped frames before this one. It continues with a key frame. Lost packets of the camera
   * have no sequence numbers, and of JPEG frames only the latest is sent.
   * @param {MediaFrame} frame
   */
  #isAfterGap({ key, sequence }) {
    const isAfter = key && this.#sequence >= 0 && sequence > this.#sequence + 1 && this.info?.format !== "jpeg";
    this.#sequence = sequence;
    return isAfter;
  }

  /**
   * @param {FrameImage} image
   * @param {PaintMeta} meta
   */
  #painted(image, meta) {
    this.paintedAt = performance.now();
    this.firstPaintedAt ||= this.paintedAt;
    this.#blindSince = 0;
    this.isBlocked = false;
    this.paintedCapturedUs = meta.capturedUs;
    this.#measureJpeg(meta);
    this.#host.painted(this, image, meta);
  }

  /** MJPEG over HTTP does not describe its frames. @param {PaintMeta} meta */
  #measureJpeg({ width, height }) {
    if (this.info?.format !== "jpeg" || (this.info.width === width && this.info.height === height)) return;
    this.info = { ...this.info, width, height };
    this.#host.described(this);
  }

  /**
   * @param {string} state
   * @param {string} message
   * @param {ViewError | null} viewError
   */
  #setState(state, message, viewError) {
    if (state === "idle") state = "connecting"; // the server connects to it for this subscription
    this.camera = { state: CAMERA_STATES.has(state) ? state : "unknown", message };
    this.viewError = viewError;
    this.#host.changed();
  }

  /** @param {Link} link */
  #setLink(link) {
    this.link = link;
    if (link === "up") this.#upAt = performance.now();
    this.#blindSince = 0;
    this.#sequence = -1;
    this.#host.linked(this, link);
  }
}
