// What of a recording lies where on a video's time line: wall clock to media time and back, and each picture's time.

/** @typedef {import("./fragments.js").Fragment} Fragment */

/**
 * One fragment on the time line.
 * @typedef {object} PlacedFragment
 * @property {number} wallMs of its first picture
 * @property {number} startS when that is shown, in media time
 * @property {number} endS
 * @property {number[]} picturesS
 */

/** A longer jump of the wall clock from a fragment to the next is a gap; a shorter one is the camera's clock. */
const GAP_MS = 500;
/** Less, and a video would play on over it. */
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
   * Put the next fragment where it belongs.
   * @param {Fragment} fragment
   * @param {boolean} closesGaps what comes after a gap follows at once: a video does not show its last pictures before one
   * @returns {{ placed: PlacedFragment, offsetS: number } | null} `offsetS`: from the fragment's times to media times;
   *   null: it is there already, or cannot be decoded
   */
  place(fragment, closesGaps) {
    const last = this.last;
    if (last && fragment.wallMs <= last.wallMs + 1) return null;
    const follows = last !== null && fragment.wallMs - wallEnd(last) < GAP_MS; // earlier: the clock was set back
    if (!follows && !fragment.key) return null;
    if (last && (follows || closesGaps)) {
      this.#offsetS = this.#decodedToS - fragment.startS;
    } else {
      const atS = (fragment.wallMs - this.#originMs) / 1000;
      const freeFromS = last ? this.#decodedToS + MIN_GAP_S - fragment.startS : -Infinity;
      this.#offsetS = Math.max(atS - fragment.wallAtS, freeFromS);
    }
    const picturesS = fragment.picturesS.map((at) => at + this.#offsetS);
    this.#decodedToS = fragment.endS + this.#offsetS;
    const lengthS = fragment.endS - fragment.startS;
    const startS = fragment.wallAtS + this.#offsetS;
    const placed = { wallMs: fragment.wallMs, startS, endS: startS + lengthS, picturesS };
    this.#placed.push(placed);
    return { placed, offsetS: this.#offsetS };
  }

  /** Forget what ends before that media time. @param {number} mediaS */
  forgetBefore(mediaS) {
    while (this.#placed.length && this.#placed[0].endS <= mediaS) this.#placed.shift();
  }

  /** @param {number} mediaS */
  wallOf(mediaS) {
    const placed = this.at(mediaS) ?? this.first;
    return placed ? placed.wallMs + (Math.min(mediaS, placed.endS) - placed.startS) * 1000 : this.#originMs + mediaS * 1000;
  }

  /**
   * The picture of an instant: the last one that is not after it.
   * @param {number} wallMs
   * @returns {number | null} a media time at which it is shown; null: it is not here
   */
  find(wallMs) {
    const placed = this.#placed.findLast((each) => each.wallMs <= wallMs);
    if (!placed || wallMs >= wallEnd(placed) + (placed === this.last ? 0 : GAP_MS)) return null;
    const atS = placed.startS + (wallMs - placed.wallMs) / 1000;
    const index = placed.picturesS.findLastIndex((each) => each <= atS + 1e-4);
    return within(placed, Math.max(0, index));
  }

  /**
   * The last picture of all that begin before an instant.
   * @param {number} wallMs
   * @returns {number | null} as `find`
   */
  before(wallMs) {
    const placed = this.#placed.findLast((each) => each.wallMs <= wallMs);
    return placed ? (this.find(wallMs) ?? within(placed, placed.picturesS.length - 1)) : null;
  }

  /**
   * The picture that is `count` pictures after the one shown at `mediaS`, or before it.
   * @param {number} mediaS
   * @param {number} count
   * @returns {number | null} as `find`
   */
  step(mediaS, count) {
    const all = this.#placed.flatMap((placed) => placed.picturesS.map((_, index) => ({ placed, index })));
    const shown = all.findLastIndex(({ placed, index }) => placed.picturesS[index] <= mediaS + 1e-3);
    const wanted = all[Math.max(0, shown) + count];
    return wanted ? within(wanted.placed, wanted.index) : null;
  }

  /** @param {number} mediaS */
  at(mediaS) {
    return this.#placed.findLast((each) => each.startS <= mediaS) ?? null;
  }

  /** When the picture began to be shown that is shown at that media time. @param {number} mediaS */
  pictureOf(mediaS) {
    return this.at(mediaS)?.picturesS.findLast((each) => each <= mediaS) ?? mediaS;
  }

  /** The first fragment that begins after that media time. @param {number} mediaS */
  after(mediaS) {
    return this.#placed.find((each) => each.startS > mediaS) ?? null;
  }

  /**
   * What comes behind a gap, where one begins at the end of the fragment at that media time; undefined: not known yet.
   * @param {number} mediaS
   * @returns {PlacedFragment | null | undefined}
   */
  behindGap(mediaS) {
    const index = this.#placed.findLastIndex((each) => each.startS <= mediaS);
    const next = this.#placed[index + 1];
    return next && index >= 0 && next.startS - this.#placed[index].endS < MIN_GAP_S / 2 ? null : next;
  }

  /** How many seconds of recordings there are after that media time. @param {number} mediaS */
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
 * In the middle of a picture's time, so that no rounding shows its neighbour.
 * @param {PlacedFragment} placed
 * @param {number} index
 */
function within(placed, index) {
  const startS = placed.picturesS[index];
  return (startS + (placed.picturesS[index + 1] ?? Math.max(placed.endS, startS + 0.002))) / 2;
}
