// Annotations of recordings: asked for in windows around the picture that is shown, one question at a time, a few windows kept.

import { TOLERANCE_MS, VALID_MS, findNewest, readAnnotations } from "../player/annotations.js";
import { readAnnotated } from "./clip.js";

/** @typedef {import("../player/annotations.js").Annotated} Annotated */
/** @typedef {import("./clip.js").Recorded} Recorded */

/**
 * @typedef {object} Window
 * @property {number} endMs
 * @property {number} completeMs all up to there is here
 * @property {Map<string, Annotated[]>} views in order
 */

const WINDOW_MS = 30_000;
const KEPT = 8;
const MIN_MS = 200; // from one question to the next
const RETRY_MS = 10_000; // after one that has failed
const EDGE_RETRY_MS = 3_000; // what was seen in the last seconds is not written yet

export class RecordedAnnotations {
  #recorded;
  #changed;
  /** @type {Map<number, Window>} by number since 1970; what was used last comes last */
  #windows = new Map();
  #number = NaN; // of the window that is shown
  /** @type {number | null} of the window that is being asked for */
  #asking = null;
  #abort = new AbortController();
  #timer = 0;
  #notBefore = 0; // no question earlier than that, in performance.now()

  /**
   * @param {Recorded} recorded
   * @param {() => void} changed more is here
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
    if (this.#asking === number) return; // and continues by itself
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

  /** Ask for what is missing of the shown window, or of the next one. */
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
    const startMs = number * WINDOW_MS - VALID_MS; // what holds at its beginning was said before
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

/** Of the window that a picture is in. @param {number} capturedUs */
function numberOf(capturedUs) {
  return Math.floor(capturedUs / 1000 / WINDOW_MS);
}
