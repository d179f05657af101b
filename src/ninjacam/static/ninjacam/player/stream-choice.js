// Which of a camera's streams a player shows: what to request, and when to request another one.
// Not here: subscriptions (session.js), sizes (display-width.js) and the clock, which callers pass in.

/**
 * The stream to request: its name, or else the smallest one that is at least `width` wide.
 * @typedef {object} StreamSelection
 * @property {string} stream empty: by width
 * @property {number | null} width in device pixels
 */

/** In milliseconds. Tests shorten them. */
export const timing = {
  settle: 500, // how long a new size must be stable
  between: 5_000, // from one switch to the next
  silent: 5_000, // a stream other than main that paints nothing for this long may not be connected
  awaitKey: 2_200, // a new stream begins at a live key frame if one comes in this time, else at the cached one
  catchUp: 3_000, // a new stream is displayed when it has caught up with the previous one, or after this time
  deliver: 12_000, // a stream that has painted nothing after this time is given up
  lossWindow: 20_000, // two losses in this time mean that the link or the decoder is too slow
  firstRetry: 15_000, // until a larger stream, or one that failed, is tried again; doubles each time
  maxRetry: 600_000,
};

const LOSSES = 2;
const SMALL_PX = 320; // requests the stream for slow viewers: narrower ones show too little

/** @type {StreamSelection} */
const SMALLEST = { stream: "", width: SMALL_PX };
/** @type {StreamSelection} */
const MAIN = { stream: "main", width: null };

export class StreamChoice {
  #widthPx;
  #changedAt = -Infinity;
  #settledPx;
  #fromPx = 0; // widths for which the server has chosen, or would choose, the present stream
  #toPx = 0;
  #source = "";
  /** @type {StreamSelection | null} instead of the size, until #limitedUntil */
  #limit = null;
  #limitedUntil = 0;
  #blockedUntil = 0;
  #switchedAt = -Infinity;
  /** @type {number[]} */
  #losses = [];
  #retryMs = 0;
  #troubleAt = -Infinity;

  /** @param {number} widthPx of the display, in device pixels */
  constructor(widthPx) {
    this.#widthPx = this.#settledPx = widthPx;
  }

  /** What to request now, whatever is displayed. @returns {StreamSelection} */
  get selection() {
    return this.#limit ?? { stream: "", width: this.#settledPx || null };
  }

  /** Whether this viewer is too slow for the stream that its size needs. */
  get isTooSlow() {
    return this.#limit === SMALLEST;
  }

  /**
   * The stream that is displayed, and the request that it answers.
   * @param {StreamSelection} selection
   * @param {string} source its name; empty: unknown
   * @param {number} widthPx 0: unknown
   */
  displayed(selection, source, widthPx) {
    this.#source = source;
    this.#fromPx = selection.stream ? Infinity : (selection.width ?? Infinity);
    // The server sends a narrower stream than requested only if there is none that is wide enough.
    this.#toPx = selection.width && selection.width <= widthPx ? widthPx : Infinity;
  }

  /** @param {number} nowMs */
  switched(nowMs) {
    this.#switchedAt = nowMs;
  }

  /** The server answers this request with the stream that is displayed. @param {StreamSelection} selection */
  confirmed({ width }) {
    if (!width) return;
    this.#fromPx = Math.min(this.#fromPx, width);
    this.#toPx = Math.max(this.#toPx, width);
  }

  /** The requested stream did not come. @param {number} nowMs */
  failed(nowMs) {
    this.#blockedUntil = nowMs + this.#nextRetryMs(nowMs);
  }

  /** Frames are missing because this viewer is too slow. @param {number} nowMs */
  lost(nowMs) {
    if (this.#limit === SMALLEST) {
      this.#limitedUntil = Math.max(this.#limitedUntil, nowMs + timing.firstRetry);
      return;
    }
    this.#losses = [...this.#losses.filter((at) => nowMs - at < timing.lossWindow), nowMs];
    if (this.#losses.length < LOSSES || this.#fromPx <= SMALL_PX) return;
    this.#limitTo(SMALLEST, nowMs);
  }

  /** The stream paints nothing: try `main`, which is always connected. @param {number} nowMs */
  silent(nowMs) {
    if (this.#source !== "main" && this.#limit !== MAIN && nowMs >= this.#blockedUntil) this.#limitTo(MAIN, nowMs);
  }

  /** Whether a stream that was silent paints again, so that `main` is not needed. */
  recovered() {
    if (this.#limit !== MAIN || this.#source === "main") return false;
    this.#limit = null;
    return true;
  }

  /**
   * @param {number} nowMs
   * @param {number} widthPx of the display
   * @returns {StreamSelection | null} another stream to request; null: stay
   */
  next(nowMs, widthPx) {
    this.#resized(nowMs, widthPx);
    if (this.#limit && nowMs >= this.#limitedUntil) this.#limit = null;
    if (nowMs < this.#blockedUntil || nowMs - this.#switchedAt < timing.between) return null;
    const { selection } = this;
    return this.#isAnswered(selection) ? null : selection;
  }

  /** @param {StreamSelection} selection */
  #isAnswered({ stream, width }) {
    if (stream) return this.#source === stream;
    return width === null || (this.#fromPx <= width && width <= this.#toPx);
  }

  /**
   * @param {number} nowMs
   * @param {number} widthPx
   */
  #resized(nowMs, widthPx) {
    if (widthPx && widthPx !== this.#widthPx) {
      this.#widthPx = widthPx;
      this.#changedAt = nowMs;
    }
    if (nowMs - this.#changedAt >= timing.settle) this.#settledPx = this.#widthPx;
  }

  /**
   * At once, whenever the last switch was.
   * @param {StreamSelection} limit
   * @param {number} nowMs
   */
  #limitTo(limit, nowMs) {
    this.#limit = limit;
    this.#limitedUntil = nowMs + this.#nextRetryMs(nowMs);
    this.#losses = [];
    this.#switchedAt = -Infinity;
  }

  /** @param {number} nowMs */
  #nextRetryMs(nowMs) {
    const isOver = nowMs - this.#troubleAt > 3 * this.#retryMs;
    this.#retryMs = isOver ? timing.firstRetry : Math.min(timing.maxRetry, 2 * this.#retryMs);
    this.#troubleAt = nowMs;
    return this.#retryMs * (1 + Math.random() / 4); // the players of a page do not return together
  }
}
