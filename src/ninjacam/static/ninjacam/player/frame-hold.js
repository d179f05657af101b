// How long live frames are held before they are displayed, so that annotations are drawn on their own frame.
// Not here: who holds the frames (webcodecs.js), and the choice of annotations for a frame (annotations.js).

import { TOLERANCE_MS } from "./annotations.js";

const MAX_HOLD_MS = 150; // a longer delay is not worth it: slower annotations are drawn on later frames
const MARGIN_MS = 4;
const KEPT = 100; // frames and annotations of which the times are known: the last four seconds
const MIN_KNOWN = 5;
const SHARE = 0.99; // of the annotations that arrive before their frame is displayed

export class FrameHold {
  /** For how long frames are held after their arrival, in ms. */
  ms = 0;
  #isEnabled = false;
  /** @type {{ capturedUs: number, at: number }[]} the latest last */
  #arrivals = [];
  /** @type {number[]} by how much annotations arrived after their frame, in ms */
  #delays = [];

  /** Frames are held only while annotations are wanted. @param {boolean} isEnabled */
  enable(isEnabled) {
    if (isEnabled === this.#isEnabled) return;
    this.#isEnabled = isEnabled;
    this.ms = 0;
    this.#arrivals = [];
    this.#delays = [];
  }

  /** Note the arrival of a frame. @param {number} capturedUs 0: unknown */
  arrived(capturedUs) {
    if (!this.#isEnabled || !capturedUs) return;
    this.#arrivals.push({ capturedUs, at: performance.now() });
    if (this.#arrivals.length > KEPT) this.#arrivals.shift();
  }

  /** Note the arrival of the annotations of a frame, which may be one of another stream. @param {number} capturedUs */
  annotated(capturedUs) {
    const own = this.#arrivals.findLast((each) => each.capturedUs <= capturedUs + TOLERANCE_MS * 1000);
    if (!own) return;
    this.#delays.push(performance.now() - own.at);
    if (this.#delays.length > KEPT) this.#delays.shift();
    const sorted = [...this.#delays].sort((one, other) => one - other);
    const delay = sorted[Math.ceil(SHARE * sorted.length) - 1] + MARGIN_MS;
    this.ms = sorted.length < MIN_KNOWN || delay > MAX_HOLD_MS ? 0 : delay;
  }
}
