// Annotations of recordings: loaded in windows around the displayed frame, one request at a time, a few windows cached.

import { TOLERANCE_MS, VALID_MS, findNewest, readAnnotations } from "../player/annotations.js";
import { readAnnotated } from "./clip.js";

/** @typedef {import("../player/annotations.js").Annotated} Annotated */
/** @typedef {import("./clip.js").Recorded} Recorded */

/**
 * @typedef {object} Window
 * @property {number} endMs
 * @property {number} completeMs loaded up to this time
 * @property {Map<string, Annotated[]>} views in order
 */

const WINDOW_MS = 30_000;
const KEPT = 8;
const MIN_MS = 200; // between requests
const RETRY_MS = 10_000; // after a failed request
const EDGE_RETRY_MS = 3_000; // the annotations of the last seconds are not written yet

export class RecordedAnnotations {
  #recorded;
  #changed;
  /** @type {Map<number, Window>} by number since 1970, the one used last at the end */
  #windows = new Map();
  #number = NaN; // of the current window
  /** @type {number | null} of the window being loaded */
  #asking = null;
  #abort = new AbortController();
  #timer = 0;
  #notBefore = 0; // performance.now() before which no request is sent

  /**
   * @param {Recorded} recorded
   * @param {() => void} changed called when more is loaded
   */
  constructor(recorded, changed) {
    this.#recorded = recorded;
    this.#changed = changed;
  }

  /** The server returns all views at once. */
  watch() {}

  /** @param {number} capturedUs */
  show(capturedUs) {
    const number = numberOf(capturedUs);
    if (!capturedUs || number === this.#number) return;
    this.#number = number;
    if (this.#windows.has(number)) this.#use(number);
    if (this.#asking === number) return; // the request in progress continues
    this.#abort.abort();
    this.#asking = null;
    this.#plan(0);
  }

  /**
   * @param {string} view
   * @param {number} capturedUs
   */
  find(view, capturedUs) {
    return findNewest(this.#windows.get(numberOf(capturedUs))?.views.get(view) ?? [], capturedUs);
  }

  close() {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#windows.clear();
  }

  /** @param {number} inMs */
  #plan(inMs) {
    clearTimeout(this.#timer);
    const waitMs = Math.max(inMs, this.#notBefore - performance.now());
    this.#timer = setTimeout(() => void this.#load(), waitMs);
  }

  /** Load what is missing of the current window, or of the next one. */
  async #load() {
    const number = [this.#number, this.#number + 1].find((each) => this.#isMissing(each));
    if (number === undefined) return;
    const { signal } = (this.#abort = new AbortController());
    this.#asking = number;
    this.#notBefore = performance.now() + MIN_MS;
    let reachesEdge = false;
    try {
      reachesEdge = await this.#extend(this.#use(number), signal);
    } catch {
      if (!signal.aborted) this.#notBefore = performance.now() + RETRY_MS;
    }
    if (signal.aborted) return; // the code that aborted has already scheduled the next step
    this.#asking = null;
    this.#plan(reachesEdge ? EDGE_RETRY_MS : 0);
  }

  /** @param {number} number */
  #isMissing(number) {
    const window = this.#windows.get(number);
    return !window || window.completeMs < window.endMs;
  }

  /** @param {number} number @returns {Window} */
  #use(number) {
    const startMs = number * WINDOW_MS - VALID_MS; // includes earlier annotations that are still valid at its start
    const endMs = (number + 1) * WINDOW_MS + TOLERANCE_MS;
    const window = this.#windows.get(number) ?? { endMs, completeMs: startMs, views: new Map() };
    this.#windows.delete(number);
    this.#windows.set(number, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > KEPT) this.#windows.delete(oldest);
    return window;
  }

  /**
   * @param {Window} window
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether the rest of it is probably not recorded yet
   * @throws {Error} the server refuses, or the network fails
   */
  async #extend(window, signal) {
    const fromMs = window.completeMs;
    const { endMs, frames } = await readAnnotated(this.#recorded, fromMs, window.endMs, signal);
    if (signal.aborted) return false;
    if (!(endMs >= fromMs)) throw new Error("The server's response covers no time.");
    for (const [view, known] of window.views) {
      window.views.set(view, known.filter((each) => each.capturedUs < fromMs * 1000));
    }
    for (const { view, captured_us: capturedUs, annotations } of frames) {
      const known = window.views.get(view);
      const annotated = { capturedUs, annotations: readAnnotations(annotations) };
      if (known) known.push(annotated);
      else window.views.set(view, [annotated]);
    }
    window.completeMs = endMs;
    this.#changed();
    return endMs < window.endMs && endMs - fromMs < EDGE_RETRY_MS;
  }
}

/** Return the number of the window that contains this time. @param {number} capturedUs */
function numberOf(capturedUs) {
  return Math.floor(capturedUs / 1000 / WINDOW_MS);
}
