// Maps a recording to a video's time line: wall clock to media time and back, and the time of each frame.

/** @typedef {import("./fragments.js").Fragment} Fragment */

/**
 * One fragment on the time line.
 * @typedef {object} PlacedFragment
 * @property {number} wallMs of its first frame
 * @property {number} startS media time of that frame
 * @property {number} endS
 * @property {number[]} framesS
 */

/** A longer jump of the wall clock between fragments is a gap; a shorter one is an adjustment of the camera's clock. */
const GAP_MS = 500;
/** A video element plays on over shorter gaps. */
const MIN_GAP_S = 0.4;

export class TimeMap {
  #originMs;
  /** @type {PlacedFragment[]} in order */
  #placed = [];
  #decodedToS = 0; // where the next fragment continues
  #offsetS = 0;

  /** @param {number} originMs the wall clock of media time 0, about */
  constructor(originMs) {
    this.#originMs = originMs;
  }

  get first() {
    return this.#placed.at(0) ?? null;
  }

  get last() {
    return this.#placed.at(-1) ?? null;
  }

  clear() {
    this.#placed = [];
  }

  /**
   * Place the next fragment.
   * @param {Fragment} fragment
   * @param {boolean} closesGaps omit gaps, because a video element does not show the last frames before one
   * @returns {{ placed: PlacedFragment, offsetS: number } | null} `offsetS`: from the fragment's times to media times;
   *   null: it is already placed, or cannot be decoded
   */
  place(fragment, closesGaps) {
    const last = this.last;
    if (last && fragment.wallMs <= last.wallMs + 1) return null;
    const follows = last !== null && fragment.wallMs - wallEnd(last) < GAP_MS; // a negative difference: the clock was set back
    if (!follows && !fragment.key) return null;
    if (last && (follows || closesGaps)) {
      this.#offsetS = this.#decodedToS - fragment.startS;
    } else {
      const atS = (fragment.wallMs - this.#originMs) / 1000;
      const freeFromS = last ? this.#decodedToS + MIN_GAP_S - fragment.startS : -Infinity;
      this.#offsetS = Math.max(atS - fragment.wallAtS, freeFromS);
    }
    const framesS = fragment.framesS.map((at) => at + this.#offsetS);
    this.#decodedToS = fragment.endS + this.#offsetS;
    const lengthS = fragment.endS - fragment.startS;
    const startS = fragment.wallAtS + this.#offsetS;
    const placed = { wallMs: fragment.wallMs, startS, endS: startS + lengthS, framesS };
    this.#placed.push(placed);
    return { placed, offsetS: this.#offsetS };
  }

  /** Remove fragments that end before this media time. @param {number} mediaS */
  forgetBefore(mediaS) {
    while (this.#placed.length && this.#placed[0].endS <= mediaS) this.#placed.shift();
  }

  /** @param {number} mediaS */
  wallOf(mediaS) {
    const placed = this.at(mediaS) ?? this.first;
    return placed ? placed.wallMs + (Math.min(mediaS, placed.endS) - placed.startS) * 1000 : this.#originMs + mediaS * 1000;
  }

  /**
   * Return the frame at this time: the last one that is not later.
   * @param {number} wallMs
   * @returns {number | null} a media time within its display; null: it is not loaded
   */
  find(wallMs) {
    const placed = this.#placed.findLast((each) => each.wallMs <= wallMs);
    if (!placed || wallMs >= wallEnd(placed) + (placed === this.last ? 0 : GAP_MS)) return null;
    const atS = placed.startS + (wallMs - placed.wallMs) / 1000;
    const index = placed.framesS.findLastIndex((each) => each <= atS + 1e-4);
    return within(placed, Math.max(0, index));
  }

  /**
   * Return the last frame before this time.
   * @param {number} wallMs
   * @returns {number | null} as `find`
   */
  before(wallMs) {
    const placed = this.#placed.findLast((each) => each.wallMs <= wallMs);
    return placed ? (this.find(wallMs) ?? within(placed, placed.framesS.length - 1)) : null;
  }

  /**
   * Return the frame `count` frames after (negative: before) the one shown at `mediaS`.
   * @param {number} mediaS
   * @param {number} count
   * @returns {number | null} as `find`
   */
  step(mediaS, count) {
    const all = this.#placed.flatMap((placed) => placed.framesS.map((_, index) => ({ placed, index })));
    const shown = all.findLastIndex(({ placed, index }) => placed.framesS[index] <= mediaS + 1e-3);
    const wanted = all[Math.max(0, shown) + count];
    return wanted ? within(wanted.placed, wanted.index) : null;
  }

  /** @param {number} mediaS */
  at(mediaS) {
    return this.#placed.findLast((each) => each.startS <= mediaS) ?? null;
  }

  /** Return the start of the frame displayed at this media time. @param {number} mediaS */
  frameStart(mediaS) {
    return this.at(mediaS)?.framesS.findLast((each) => each <= mediaS) ?? mediaS;
  }

  /** Return the first fragment that begins after this media time. @param {number} mediaS */
  after(mediaS) {
    return this.#placed.find((each) => each.startS > mediaS) ?? null;
  }

  /**
   * Return the fragment after the gap that follows the fragment at this media time; null: no gap; undefined: unknown.
   * @param {number} mediaS
   * @returns {PlacedFragment | null | undefined}
   */
  behindGap(mediaS) {
    const index = this.#placed.findLastIndex((each) => each.startS <= mediaS);
    const next = this.#placed[index + 1];
    return next && index >= 0 && next.startS - this.#placed[index].endS < MIN_GAP_S / 2 ? null : next;
  }

  /** Return the seconds of recordings loaded after this media time. @param {number} mediaS */
  aheadS(mediaS) {
    let sum = 0;
    for (const { startS, endS } of this.#placed) sum += Math.max(0, endS - Math.max(startS, mediaS));
    return sum;
  }
}

/** @param {PlacedFragment} placed */
export function wallEnd(placed) {
  return placed.wallMs + (placed.endS - placed.startS) * 1000;
}

/**
 * Return the middle of a frame's display time, so that rounding does not select its neighbour.
 * @param {PlacedFragment} placed
 * @param {number} index
 */
function within(placed, index) {
  const startS = placed.framesS[index];
  return (startS + (placed.framesS[index + 1] ?? Math.max(placed.endS, startS + 0.002))) / 2;
}
