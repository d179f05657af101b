// Chooses the bitrate of the encoder by how long the data takes that the WebSocket has not sent yet.

const CUT_MS = 250; // waiting data: lower the bitrate
const DROP_MS = 800; // waiting data: skip frames until less than RESUME_MS are left, then continue at a key frame
const RESUME_MS = 100;
const CALM_MS = 60;
const STEP_MS = 500; // between two changes
const RAISE_AFTER_MS = 5000; // without a cut
const CUT = 0.7;
const RAISE = 1.15;

export class RateControl {
  #max;
  #min;
  #changedMs = -Infinity;
  #cutMs = -Infinity;
  isDropping = false;

  /**
   * @param {number} maxBps
   * @param {number} minBps
   */
  constructor(maxBps, minBps = 150_000) {
    this.#max = maxBps;
    this.#min = minBps;
    this.bitrateBps = maxBps;
  }

  /**
   * @param {number} queuedBytes what the WebSocket has not sent yet
   * @param {number} nowMs
   * @returns {boolean} whether the bitrate has changed
   */
  update(queuedBytes, nowMs) {
    const waitingMs = (queuedBytes * 8000) / this.bitrateBps;
    this.isDropping = waitingMs > (this.isDropping ? RESUME_MS : DROP_MS);
    if (nowMs - this.#changedMs < STEP_MS) return false;
    const before = this.bitrateBps;
    if (waitingMs > CUT_MS) {
      this.#cutMs = nowMs;
      this.bitrateBps = Math.max(this.#min, before * CUT);
    } else if (waitingMs < CALM_MS && nowMs - this.#cutMs > RAISE_AFTER_MS) {
      this.bitrateBps = Math.min(this.#max, before * RAISE);
    }
    if (this.bitrateBps === before) return false;
    this.#changedMs = nowMs;
    return true;
  }
}
