// fMP4 fragments -> MediaSource (or ManagedMediaSource) -> <video>. For plain http, where WebCodecs is not available.

import { retime } from "./fmp4.js";
import { watchVideo } from "./painter.js";

/** @typedef {import("./painter.js").PainterHost} PainterHost */
/** @typedef {import("./painter.js").MediaFrame} MediaFrame */
/** @typedef {import("./painter.js").StreamInfo} StreamInfo */

const TARGET_S = 0.1; // delay behind the newest frame; increases if the network stutters
const MAX_TARGET_S = 0.6;
const TARGET_STEP_S = 0.05;
const JUMP_S = 1; // a longer delay is corrected by a seek instead of a higher rate
const JUMP_AT_START_S = 0.25; // the cached GOP is skipped, not played from its beginning
const KEEP_S = 10;
const TRIM_AT_S = 30;

/** Return the constructor that this browser offers; an iPhone has ManagedMediaSource only.
 * @returns {typeof MediaSource | undefined}
 */
export function mediaSourceClass() {
  const scope = /** @type {{ ManagedMediaSource?: typeof MediaSource, MediaSource?: typeof MediaSource }} */ (globalThis);
  return scope.MediaSource ?? scope.ManagedMediaSource;
}

/** @param {string} codec */
export function mimeType(codec) {
  return `video/mp4; codecs="${codec}"`;
}

export class MsePainter {
  element = document.createElement("video");
  #host;
  /** @type {MediaSource} */
  #media;
  /** @type {SourceBuffer | null} */
  #buffer = null;
  #codec = "";
  /** @type {MediaFrame[]} */
  #queue = [];
  /** @type {MediaFrame | null} the last one being appended */
  #appending = null;
  /** @type {{ endS: number, frame: MediaFrame }[]} media time at which each recently appended frame ends */
  #inBuffer = [];
  #needConfig = true;
  #decodeTime = 0; // of the next fragment, in ticks, independent of the camera's times
  #settled = false;
  #targetS = TARGET_S;
  #closed = false;
  #url;

  /** @param {PainterHost} host */
  constructor(host) {
    this.#host = host;
    const Media = /** @type {typeof MediaSource} */ (mediaSourceClass());
    this.#media = new Media();
    this.#media.addEventListener("sourceopen", () => this.#pump());
    this.#url = URL.createObjectURL(this.#media);
    const video = this.element;
    video.muted = video.autoplay = video.playsInline = video.disableRemotePlayback = true;
    video.addEventListener("error", () => this.#fail(video.error?.message || "The video element failed.", false));
    video.addEventListener("waiting", () => this.#starved());
    video.src = this.#url;
    watchVideo(video, () => this.#closed, (mediaTimeS, width, height) => this.#painted(mediaTimeS, width, height));
  }

  get framesDecoded() {
    return this.element.getVideoPlaybackQuality().totalVideoFrames;
  }

  /** @param {StreamInfo} info */
  configure(info) {
    this.#codec = info.codec;
  }

  /** @param {MediaFrame} frame */
  push(frame) {
    if (this.#closed || (this.#needConfig && !frame.config)) return;
    this.#needConfig = false;
    this.#decodeTime += retime(frame.payload, this.#decodeTime);
    this.#queue.push(frame);
    this.#pump();
  }

  #pump() {
    if (this.#closed || this.#queue.length === 0 || this.#media.readyState !== "open") return;
    try {
      if (this.#buffer?.updating) return;
      this.#append(this.#prepareBuffer(this.#queue[0]));
    } catch (error) {
      this.#handle(/** @type {DOMException} */ (error));
    }
  }

  /** @param {MediaFrame} frame */
  #prepareBuffer(frame) {
    if (!this.#buffer) {
      this.#buffer = this.#media.addSourceBuffer(mimeType(this.#codec));
      this.#buffer.addEventListener("updateend", () => this.#appended());
    } else if (frame.config) {
      this.#buffer.changeType(mimeType(this.#codec));
    }
    return this.#buffer;
  }

  /**
   * Append all queued fragments up to the next change of configuration at once.
   * @param {SourceBuffer} buffer
   */
  #append(buffer) {
    let count = 1;
    while (count < this.#queue.length && !this.#queue[count].config) count += 1;
    const frames = this.#queue.slice(0, count);
    buffer.appendBuffer(concatenate(frames.map((frame) => frame.payload)));
    this.#queue.splice(0, count);
    this.#appending = frames[count - 1];
  }

  /** @param {DOMException} error */
  #handle(error) {
    if (error.name === "QuotaExceededError" && this.#buffer && this.element.currentTime > 1) {
      this.#buffer.remove(0, this.element.currentTime - 0.5); // its updateend event calls #pump again
    } else {
      this.#fail(String(error), error.name === "NotSupportedError");
    }
  }

  /**
   * @param {string} reason
   * @param {boolean} fatal
   */
  #fail(reason, fatal) {
    if (this.#closed) return;
    this.close();
    this.#host.failed(reason, fatal);
  }

  #appended() {
    const buffer = this.#buffer;
    if (this.#closed || !buffer) return;
    const ranges = buffer.buffered;
    if (ranges.length > 0) {
      const endS = ranges.end(ranges.length - 1);
      if (this.#appending) this.#inBuffer.push({ endS, frame: this.#appending });
      this.#appending = null;
      if (this.#inBuffer.length > 500) this.#inBuffer.splice(0, 250);
      this.#keepUp(ranges.start(ranges.length - 1), endS);
      const startS = ranges.start(0);
      if (this.#queue.length === 0 && endS - startS > TRIM_AT_S) return buffer.remove(startS, endS - KEEP_S);
    }
    this.#pump();
  }

  /**
   * Stay at the live edge: raise the rate for a small delay, seek for a large one.
   * @param {number} startS of the newest range without gaps
   * @param {number} endS
   */
  #keepUp(startS, endS) {
    const video = this.element;
    const lagS = endS - video.currentTime;
    const jumpS = this.#settled ? JUMP_S : JUMP_AT_START_S;
    if (this.#settled && lagS > JUMP_S) this.#host.overloaded();
    if (video.currentTime < startS || lagS > jumpS || lagS < -0.1) {
      video.currentTime = Math.max(startS, endS - this.#targetS / 2);
      video.playbackRate = 1;
    } else {
      this.#settled = true;
      video.playbackRate = lagS > 2 * this.#targetS ? 1.15 : lagS > this.#targetS ? 1.05 : 1;
    }
    if (video.paused) this.#play();
  }

  #play() {
    this.element.play().catch((/** @type {DOMException} */ error) => {
      if (error.name === "NotAllowedError" && !this.#closed) this.#host.blocked();
    });
  }

  #starved() {
    if (this.#settled) this.#targetS = Math.min(MAX_TARGET_S, this.#targetS + TARGET_STEP_S);
  }

  /**
   * @param {number} mediaTimeS
   * @param {number} width
   * @param {number} height
   */
  #painted(mediaTimeS, width, height) {
    if (this.#targetS > TARGET_S) this.#targetS -= TARGET_STEP_S / 1000; // a stutter is forgotten after about a minute
    while (this.#inBuffer.length > 1 && this.#inBuffer[0].endS <= mediaTimeS) this.#inBuffer.shift();
    const shown = this.#inBuffer[0];
    let capturedUs = 0;
    if (shown?.frame.capturedUs) {
      const beforeLastUs = (shown.endS - mediaTimeS) * 1e6 - shown.frame.durationUs;
      capturedUs = shown.frame.capturedUs - Math.max(0, beforeLastUs);
    }
    this.#host.painted(this.element, { capturedUs, width, height, sequence: -1 });
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.element.pause(); // the last frame stays visible
  }

  dispose() {
    this.close();
    this.element.removeAttribute("src");
    this.element.load();
    URL.revokeObjectURL(this.#url);
  }
}

/** @param {Uint8Array<ArrayBuffer>[]} parts */
function concatenate(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
