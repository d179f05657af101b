// Plays recordings as stills, for codecs that the browser cannot play. Requests one after the other.

import { RecordingError, SPAN_GAP_MS, findLast, findNext, readStill, sleep } from "./clip.js";
import { CanvasSurface } from "../player/painter.js";

/** @typedef {import("./clip.js").Recorded} Recorded */
/** @typedef {import("./playback.js").PlaybackHost} PlaybackHost */
/** @typedef {import("./playback.js").PlaybackState} PlaybackState */

const MIN_MS = 200; // between requests
const KEYS_ONLY_FROM_RATE = 4; // from this rate on, show key frames only
const WIDTH_PX = 1280;
const STEPS_MS = [40, 80, 200]; // distances at which the next frame is sought
const EDGE_MS = 4_000; // this close to the present, nothing is recorded yet
const RETRY_MS = 2_000;
const GONE_MS = 500; // step across missing parts of a span

export class StillPlayback {
  framesDecoded = 0;
  holdsGaps = false;
  /** @type {number | null} */
  gapUntilMs = null;
  /** @type {PlaybackState} */
  state = "seeking";
  #surface = new CanvasSurface();
  #recorded;
  #host;
  #atMs;
  #since = performance.now(); // performance.now() at #atMs
  #rate = 1;
  #playing;
  #shownMs = NaN; // capture time of the displayed frame
  #abort = new AbortController();

  /**
   * @param {Recorded} recorded
   * @param {PlaybackHost} host
   * @param {number} wallMs
   * @param {boolean} playing
   */
  constructor(recorded, host, wallMs, playing) {
    this.#recorded = recorded;
    this.#host = host;
    this.#atMs = wallMs;
    this.#playing = playing;
    this.seek(wallMs);
  }

  get element() {
    return this.#surface.element;
  }

  get nowMs() {
    return this.#atMs + (this.state === "playing" ? (performance.now() - this.#since) * this.#rate : 0);
  }

  get frameMs() {
    return this.ready && this.#shownMs ? this.#shownMs : this.#atMs;
  }

  get ready() {
    return this.state !== "seeking";
  }

  /** @param {number} wallMs */
  seek(wallMs) {
    this.gapUntilMs = null;
    this.#shownMs = NaN; // the displayed frame is of the previous position
    this.#set(wallMs, "seeking");
    void this.#run();
  }

  play() {
    this.#playing = true;
    this.seek(this.nowMs);
  }

  pause() {
    this.#playing = false;
    this.seek(this.nowMs);
  }

  /** @param {number} rate */
  setRate(rate) {
    this.#set(this.nowMs, this.state);
    this.#rate = rate;
  }

  /** There is no sound. */
  mute() {}

  /** @param {number} count */
  step(count) {
    this.#playing = false;
    void (count < 0 ? this.#stepBack() : this.#stepOn());
  }

  close() {
    this.#abort.abort();
  }

  dispose() {
    this.close();
    this.#surface.free();
  }

  /**
   * @param {number} wallMs
   * @param {PlaybackState} state
   */
  #set(wallMs, state) {
    this.#atMs = wallMs;
    this.#since = performance.now();
    if (state === this.state) return;
    this.state = state;
    this.#host.state(state);
  }

  #begin() {
    this.#abort.abort();
    this.#abort = new AbortController();
    return this.#abort.signal;
  }

  async #run() {
    const signal = this.#begin();
    while (!signal.aborted) {
      const begun = performance.now();
      const atMs = this.nowMs;
      const shown = await this.#guard(() => this.#show(atMs, signal), atMs, signal);
      if (signal.aborted) return;
      if (shown) this.#set(this.state === "playing" ? this.nowMs : atMs, this.#playing ? "playing" : "paused");
      if (shown && !this.#playing) return;
      if (this.#host.nowMs() - this.nowMs < EDGE_MS) return this.#host.caughtUp();
      await sleep(Math.max(0, MIN_MS - (performance.now() - begun)), signal);
    }
  }

  async #stepOn() {
    const signal = this.#begin();
    const fromMs = this.#shownMs || this.#atMs;
    for (const distance of STEPS_MS) {
      const atMs = fromMs + distance;
      await this.#guard(() => this.#show(atMs, signal), atMs, signal);
      if (signal.aborted || (this.#shownMs && this.#shownMs !== fromMs)) break;
    }
    if (!signal.aborted) this.#set(this.#shownMs || fromMs, "paused");
  }

  async #stepBack() {
    const signal = this.#begin();
    const fromMs = this.#shownMs || this.#atMs;
    await this.#guard(() => this.#showBefore(fromMs, signal), fromMs, signal);
    if (!signal.aborted) this.#set(this.#shownMs || fromMs, "paused");
  }

  /**
   * Show the last frame before this time, if there is one.
   * @param {number} wallMs
   * @param {AbortSignal} signal
   */
  async #showBefore(wallMs, signal) {
    const lastMs = (await findLast(this.#recorded, wallMs, signal)) ?? -Infinity;
    for (let backMs = 0; backMs <= SPAN_GAP_MS && lastMs > 0; backMs += GONE_MS) {
      const isThere = await this.#show(lastMs - backMs, signal).catch((error) => {
        if (error instanceof RecordingError && error.code === "no_recording") return false;
        throw error;
      });
      if (isThere) break;
    }
    return true;
  }

  /**
   * @param {number} atMs
   * @param {AbortSignal} signal
   */
  async #show(atMs, signal) {
    const key = this.#playing && this.#rate >= KEYS_ONLY_FROM_RATE;
    const { image, wallMs } = await readStill(this.#recorded, atMs, { widthPx: WIDTH_PX, key, signal });
    const bitmap = await createImageBitmap(image);
    if (!signal.aborted) {
      this.framesDecoded += 1;
      this.#shownMs = wallMs;
      this.#surface.draw(bitmap, bitmap.width, bitmap.height);
      const meta = { capturedUs: Math.round(wallMs * 1000), width: bitmap.width, height: bitmap.height, sequence: -1 };
      this.#host.painted(bitmap, meta);
    }
    bitmap.close();
    return true;
  }

  /**
   * @param {() => Promise<boolean>} show
   * @param {number} atMs
   * @param {AbortSignal} signal
   */
  async #guard(show, atMs, signal) {
    try {
      return await show();
    } catch (error) {
      if (signal.aborted) return false;
      const refused = error instanceof RecordingError ? error : null;
      try {
        if (refused?.code === "no_recording") return await this.#overGap(atMs, signal);
      } catch {
        // the network failed: retried below
      }
      if (signal.aborted) return false;
      if (refused && !refused.passes && refused.code !== "no_recording") {
        this.close();
        this.#host.failed(refused.code, refused.message);
      } else {
        await sleep(RETRY_MS, signal);
      }
      return false;
    }
  }

  /**
   * @param {number} atMs
   * @param {AbortSignal} signal
   */
  async #overGap(atMs, signal) {
    const nextMs = await findNext(this.#recorded, atMs, this.#host.nowMs(), signal);
    if (signal.aborted) return false;
    if (nextMs === null) {
      this.#set(atMs, "ended");
      await sleep(RETRY_MS, signal);
    } else if (this.holdsGaps) {
      this.gapUntilMs = nextMs;
      this.#set(atMs, "gap");
      await sleep(RETRY_MS, signal);
    } else if (nextMs > atMs + 1) {
      this.#host.skipped(nextMs);
      this.#set(nextMs + 1, "seeking");
    } else {
      this.#set(atMs + GONE_MS, "seeking");
    }
    return false;
  }
}
