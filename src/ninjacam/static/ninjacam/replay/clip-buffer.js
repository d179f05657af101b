// Clips -> MediaSource (or ManagedMediaSource) -> <video>. Opened in advance; operations run one after the other.

import { RecordingError } from "./clip.js";
import { mediaSourceClass, mimeType } from "../player/mse.js";

/** @typedef {import("./fragments.js").Init} Init */

export const MAX_BUFFER_S = 40 * 365 * 86_400; // length of the time line

export class ClipBuffer {
  #video;
  /** @type {MediaSource | null} */
  #media = null;
  #url = "";
  /** @type {Promise<unknown> | null} pending until a source without a buffer is open */
  #opening = null;
  /** @type {SourceBuffer | null} */
  #buffer = null;
  /** @type {Init | null} the header appended last */
  #init = null;
  #sound = false; // whether the buffer accepts audio
  /** @type {Promise<unknown>} the current operation of the buffer */
  #work = Promise.resolve();

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
    if (mediaSourceClass()) this.#open(); // takes a while; meanwhile, the server is asked
  }

  #open() {
    this.#buffer = null;
    const Media = /** @type {typeof MediaSource} */ (mediaSourceClass());
    const media = (this.#media = new Media());
    URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(media);
    this.#opening = new Promise((resolve) => media.addEventListener("sourceopen", resolve, { once: true }));
    this.#video.src = this.#url;
  }

  /** Return whether it can continue with these tracks, or must be recreated. @param {Init} init */
  takes(init) {
    return !this.#buffer || this.#sound === init.sound;
  }

  /**
   * Set the header of the fragments that follow.
   * @param {Init} init
   * @param {AbortSignal} signal
   * @throws {RecordingError} "unsupported_codec"
   */
  async begin(init, signal) {
    if (this.#init && same(this.#init.bytes, init.bytes)) return;
    const type = mimeType(init.codecs);
    if (!mediaSourceClass()?.isTypeSupported(type)) {
      throw new RecordingError("unsupported_codec", init.codecs.split(",")[0]);
    }
    this.#init = null; // until it is appended: a seek may come in between
    if (this.#buffer && this.takes(init)) await this.#do(signal, (buffer) => buffer.changeType(type));
    else await this.#add(type, init.sound, signal);
    await this.#do(signal, (buffer) => buffer.appendBuffer(init.bytes));
    if (!signal.aborted) this.#init = init;
  }

  /**
   * @param {string} type
   * @param {boolean} sound
   * @param {AbortSignal} signal
   */
  async #add(type, sound, signal) {
    if (!this.#opening) this.#open();
    await this.#opening;
    if (signal.aborted) return;
    const media = /** @type {MediaSource} */ (this.#media);
    this.#opening = null;
    this.#buffer = media.addSourceBuffer(type);
    this.#sound = sound;
    media.duration = MAX_BUFFER_S;
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {number} offsetS added to its times
   * @param {AbortSignal} signal
   * @throws {DOMException} "QuotaExceededError"
   */
  append(bytes, offsetS, signal) {
    return this.#do(signal, (buffer) => {
      if (buffer.timestampOffset !== offsetS) buffer.timestampOffset = offsetS;
      buffer.appendBuffer(bytes);
    });
  }

  /**
   * Remove everything before `untilS`.
   * @param {number} untilS
   * @param {AbortSignal} signal
   */
  remove(untilS, signal) {
    return this.#do(signal, (buffer) => buffer.buffered.length && buffer.remove(0, untilS));
  }

  /**
   * Run an operation on the source buffer after the current one. Operations of an aborted seek are skipped.
   * @param {AbortSignal} signal
   * @param {(buffer: SourceBuffer) => unknown} what
   */
  #do(signal, what) {
    const done = this.#work.then(async () => {
      const buffer = this.#buffer;
      if (!buffer || signal.aborted || this.#media?.readyState === "closed") return;
      what(buffer);
      if (buffer.updating) await new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
    });
    this.#work = done.catch(() => {});
    return done;
  }

  dispose() {
    URL.revokeObjectURL(this.#url);
  }
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
function same(a, b) {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}
