// Plays recordings with MSE: clips are loaded ahead of the position, appended to one time line, and removed behind it.
// Media time is the wall clock since an origin, so gaps stay gaps. Not here: the user interface.

import { ClipBuffer, MAX_BUFFER_S } from "./clip-buffer.js";
import { RecordingError, SPAN_GAP_MS, findLast, findNext, readClip, sleep } from "./clip.js";
import { TimeMap, wallEnd } from "./time-map.js";
import { watchVideo } from "../player/painter.js";

/** @typedef {import("./clip.js").Recorded} Recorded */
/** @typedef {import("./fragments.js").Fragment} Fragment */
/** @typedef {import("./time-map.js").PlacedFragment} PlacedFragment */
/** @typedef {import("../player/painter.js").FrameImage} FrameImage */
/** @typedef {import("../player/painter.js").PaintMeta} PaintMeta */

/**
 * "seeking": the frame is being loaded; "gap": nothing was recorded at this time, and it waits for the next recording;
 * "ended": nothing was recorded afterwards.
 * @typedef {"seeking" | "playing" | "paused" | "gap" | "ended"} PlaybackState
 */

/**
 * @typedef {object} PlaybackHost
 * @property {(image: FrameImage, meta: PaintMeta) => void} painted
 * @property {(state: PlaybackState) => void} state called when it has changed
 * @property {(untilMs: number) => void} skipped a gap was jumped over
 * @property {() => void} caughtUp playback has reached the live edge
 * @property {(code: string, message: string) => void} failed playback has ended: "unsupported_codec", or the server's code
 * @property {() => number} nowMs the server's wall clock
 */

/**
 * The interface of playback, implemented by Playback and StillPlayback.
 * @typedef {object} Replay
 * @property {HTMLElement} element
 * @property {number} framesDecoded
 * @property {number} nowMs wall clock of the playback position
 * @property {number} frameMs capture time of the frame that is displayed or sought
 * @property {boolean} ready whether the frame sought is displayed
 * @property {number | null} gapUntilMs in the state "gap": when the next recording begins
 * @property {boolean} holdsGaps whether it waits for a seek in a gap instead of skipping it
 * @property {PlaybackState} state
 * @property {(wallMs: number) => void} seek
 * @property {() => void} play
 * @property {() => void} pause
 * @property {(rate: number) => void} setRate
 * @property {(count: number) => void} step
 * @property {(muted: boolean) => void} mute
 * @property {() => void} close
 * @property {() => void} dispose
 */

const FIRST_WINDOW_MS = 5_000; // short, so that the server reads only one or two files
const WINDOW_MS = 10_000;
const AHEAD_S = 20; // at 1x; 30 s at 8x
const MAX_AHEAD_S = 32;
const BEHIND_S = 20;
const TRIM_AT_S = 30;
const TICK_MS = 100;
const RETRY_MS = 500;
const EDGE_RETRY_MS = 1_000; // the length of a fragment
const ENDED_RETRY_MS = 10_000;
const EDGE_AHEAD_S = 5;
const FAILED_RETRY_MS = 2_000;
const NEAR_LIVE_MS = 5_000;
const EDGE_MS = 60_000; // no recordings for this long until now: the camera is not being recorded
const SAID_GAP_MS = 2_000;
const RUNS_DRY_S = 0.3;
const ENOUGH_S = 1; // loaded after the position sought, because a decoder may need more frames
const STALL_TICKS = 4; // a video element stops before the last frames in its decoder
const ORIGIN_BEFORE_MS = 10 * 365 * 86_400_000; // media times must not be negative

export class Playback {
  element = document.createElement("video");
  holdsGaps = false;
  /** @type {PlaybackState} */
  state = "seeking";
  #recorded;
  #host;
  #buffer;
  #timeMap;
  #playing = true;
  #rate = 1;
  /** @type {number | null} the wall clock sought, until its frame is loaded */
  #targetMs = null;
  #goesBack = false; // in a gap, show the recording before it instead of the one after it
  #abort = new AbortController();
  /** @type {(() => void) | null} wakes the loading loop */
  #wake = null;
  #atEdge = false; // everything recorded is loaded
  /** @type {number | null} the tracks change here, which needs a new source */
  #changeMs = null;
  /** @type {number | null} start of the next recording, once the current one has ended */
  #nextMs = null;
  #hasEnded = false;
  /** @type {PlacedFragment | null} */
  #played = null;
  #stalled = 0;
  #tickedS = 0;
  #closed = false;
  #timer;

  /**
   * @param {Recorded} recorded
   * @param {PlaybackHost} host
   * @param {number} wallMs the first position
   */
  constructor(recorded, host, wallMs) {
    this.#recorded = recorded;
    this.#host = host;
    this.#timeMap = new TimeMap(wallMs - ORIGIN_BEFORE_MS);
    const video = this.element;
    video.muted = video.playsInline = video.disableRemotePlayback = true;
    video.preservesPitch = true;
    this.#buffer = new ClipBuffer(video);
    video.addEventListener("error", () => video.error && this.#fail("decode_error", video.error.message));
    video.addEventListener("seeked", () => (this.#wake?.(), this.#say()));
    video.addEventListener("playing", () => this.#say());
    watchVideo(video, () => this.#closed, (atS, width, height) => this.#painted(atS, width, height));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.seek(wallMs);
  }

  get framesDecoded() {
    return this.element.getVideoPlaybackQuality().totalVideoFrames;
  }

  get nowMs() {
    return this.#targetMs ?? this.#timeMap.wallOf(this.element.currentTime);
  }

  get frameMs() {
    return this.#targetMs ?? this.#timeMap.wallOf(this.#timeMap.frameStart(this.element.currentTime));
  }

  get ready() {
    return this.#targetMs === null && !this.element.seeking && this.element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  }

  /**
   * @param {number} wallMs
   * @param {boolean} goesBack
   */
  seek(wallMs, goesBack = false) {
    if (this.#closed) return;
    const atS = this.#timeMap.find(wallMs);
    this.#hasEnded = false;
    if (atS !== null && this.#isBuffered(atS)) {
      this.#targetMs = null;
      this.element.currentTime = atS;
      if (this.#playing) this.#start();
      this.#wake?.();
    } else {
      this.#restart(wallMs, goesBack);
    }
    this.#say();
  }

  play() {
    this.#playing = true;
    if (this.#targetMs === null) this.#start();
    this.#say();
  }

  pause() {
    this.#playing = false;
    this.element.pause();
    this.#say();
  }

  /** @param {number} rate */
  setRate(rate) {
    this.#rate = rate;
    this.element.playbackRate = this.element.defaultPlaybackRate = rate; // a new source starts with the default rate
    this.#wake?.();
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.element.muted = muted;
  }

  /** @param {number} count */
  step(count) {
    this.pause();
    if (this.#targetMs !== null) {
      if (count < 0 && this.state !== "seeking") this.seek(this.#targetMs, true);
      return;
    }
    const nowS = this.element.currentTime; // not the frame painted last: another step may be in progress
    const atS = this.#timeMap.step(nowS, count);
    if (atS !== null && this.#isBuffered(atS)) this.element.currentTime = atS;
    else if (count < 0) this.seek(this.#timeMap.wallOf(this.#timeMap.frameStart(nowS)) - 1, true); // before the first loaded frame
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    this.#wake?.();
    clearInterval(this.#timer);
    this.element.pause(); // the last frame stays visible
  }

  dispose() {
    this.close();
    this.element.removeAttribute("src");
    this.element.load();
    this.#buffer.dispose();
  }

  // --- loading ---

  /**
   * Discard everything, and load from this time on.
   * @param {number} wallMs
   * @param {boolean} goesBack
   */
  #restart(wallMs, goesBack = false) {
    this.#abort.abort();
    this.#wake?.();
    this.#abort = new AbortController();
    this.#targetMs = wallMs;
    this.#goesBack = goesBack;
    this.#timeMap.clear();
    this.#atEdge = this.#hasEnded = false;
    this.#nextMs = this.#changeMs = null;
    this.element.pause(); // do not play the remaining data of the previous position
    this.element.playbackRate = this.#rate;
    const { signal } = this.#abort;
    void this.#fill(wallMs, signal).catch((error) => {
      if (signal.aborted) return;
      if (error instanceof RecordingError) this.#fail(error.code, error.message);
      else this.#fail("decode_error", String(error.message));
    });
  }

  /**
   * @param {number} fromMs
   * @param {AbortSignal} signal
   */
  async #fill(fromMs, signal) {
    let atMs = fromMs;
    let windowMs = FIRST_WINDOW_MS;
    void this.#buffer.remove(MAX_BUFFER_S, signal);
    if (this.#goesBack) atMs = await this.#turnBack(fromMs, signal);
    while (!signal.aborted && this.#changeMs === null) {
      const endMs = atMs + windowMs;
      const came = await this.#fetch(atMs, endMs, signal);
      if (this.#goesBack && !signal.aborted) this.#arrived(Infinity);
      const last = this.#timeMap.last;
      if (came === null) {
        await sleep(FAILED_RETRY_MS, signal); // the network failed, or the server is restarting
      } else if (came && last) {
        atMs = Math.ceil(wallEnd(last)); // rounded up, or the fragment that ends there would be sent again
        windowMs = WINDOW_MS;
        this.#atEdge = false;
      } else {
        atMs = await this.#findMore(atMs, endMs, signal);
      }
      await this.#room(signal);
    }
  }

  /**
   * Seek the last recorded time before `wallMs`.
   * @param {number} wallMs
   * @param {AbortSignal} signal
   * @returns {Promise<number>} where to load from
   */
  async #turnBack(wallMs, signal) {
    const lastMs = await findLast(this.#recorded, wallMs, signal).catch((error) => {
      if (error instanceof RecordingError && error.passes) return null;
      throw error;
    });
    if (signal.aborted || lastMs === null) return wallMs;
    this.#targetMs = lastMs;
    return lastMs - SPAN_GAP_MS;
  }

  /**
   * Load one clip.
   * @param {number} startMs
   * @param {number} endMs
   * @param {AbortSignal} signal
   * @returns {Promise<boolean | null>} whether it contained new fragments; null: retry later
   */
  async #fetch(startMs, endMs, signal) {
    let came = false;
    try {
      for await (const part of readClip(this.#recorded, startMs, endMs, signal)) {
        if (part.kind === "init") {
          if (this.#timeMap.last && !this.#buffer.takes(part)) {
            this.#changeMs = startMs;
            return true;
          }
          await this.#buffer.begin(part, signal);
        } else {
          await this.#shown(signal);
          came = (await this.#append(part, signal)) || came; // read to the end, because few connections may stay open
        }
      }
    } catch (error) {
      if (!(error instanceof RecordingError)) throw error;
      if (error.code === "no_recording") return came;
      if (!error.passes) throw error;
      return null;
    }
    return came;
  }

  /**
   * Handle a span [atMs, endMs) without recordings. Return where to continue.
   * @param {number} atMs
   * @param {number} endMs
   * @param {AbortSignal} signal
   */
  async #findMore(atMs, endMs, signal) {
    const nowMs = this.#host.nowMs();
    /** @type {number | null} */
    let nextMs = null;
    try {
      if (endMs < nowMs) nextMs = await findNext(this.#recorded, atMs, nowMs, signal);
    } catch (error) {
      if (!(error instanceof RecordingError && error.passes)) throw error;
      await sleep(FAILED_RETRY_MS, signal);
      return atMs;
    }
    if (nextMs !== null) {
      this.#nextMs = nextMs;
      return nextMs > atMs + 1 ? nextMs : endMs; // files were deleted, and the index is not updated yet
    }
    this.#atEdge = true;
    this.#hasEnded = nowMs - atMs > EDGE_MS;
    this.#say();
    await sleep(this.#hasEnded ? ENDED_RETRY_MS : EDGE_RETRY_MS, signal);
    while (!signal.aborted && this.#aheadS() > EDGE_AHEAD_S) await sleep(EDGE_RETRY_MS, signal);
    return atMs;
  }

  /**
   * @param {Fragment} fragment
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it was new
   */
  async #append(fragment, signal) {
    if (signal.aborted) return false;
    const added = this.#timeMap.place(fragment, !this.holdsGaps);
    if (!added) return false;
    for (;;) {
      try {
        await this.#buffer.append(fragment.bytes, added.offsetS, signal);
        break;
      } catch (error) {
        if (/** @type {DOMException} */ (error).name !== "QuotaExceededError") throw error;
        await this.#trim(2, signal);
        await sleep(RETRY_MS, signal);
      }
    }
    if (!signal.aborted) this.#arrived(added.placed.wallMs);
    return true;
  }

  /** Jump to the position sought if it is loaded. @param {number} reachedMs the end of the loaded data */
  #arrived(reachedMs) {
    if (this.#targetMs === null) return;
    const skipsMs = reachedMs - this.#targetMs;
    const before = this.#goesBack && skipsMs > 0 ? this.#timeMap.before(this.#targetMs) : null;
    const isHere = this.#timeMap.find(this.#targetMs) ?? before;
    if (isHere === null && this.holdsGaps && skipsMs > RETRY_MS) return this.#say();
    const atS = isHere ?? (skipsMs > 0 ? this.#timeMap.find(reachedMs) : null);
    if (atS === null) return;
    if (isHere === null && skipsMs > SAID_GAP_MS) this.#host.skipped(reachedMs);
    this.#targetMs = null;
    this.#goesBack = false;
    this.element.currentTime = atS;
    if (this.#playing) this.#start();
    this.#say();
  }

  /**
   * Wait until too little is loaded ahead of the position, or ahead of the end of a gap.
   * @param {AbortSignal} signal
   */
  async #room(signal) {
    await this.#shown(signal);
    await this.#while(signal, () => this.#targetMs !== null && this.gapUntilMs !== null && this.#timeMap.first !== null);
    await this.#while(signal, () => this.#aheadS() > Math.min(MAX_AHEAD_S, AHEAD_S * Math.max(1, this.#rate / 2)));
  }

  /**
   * Wait until the frame sought is displayed, if it is loaded: the decoder comes first.
   * @param {AbortSignal} signal
   */
  #shown(signal) {
    const video = this.element;
    return this.#while(signal, () => this.#targetMs === null && video.seeking && this.#restS(video.currentTime) > ENOUGH_S);
  }

  /**
   * Wait until the condition holds. It is checked at each tick and after each event.
   * @param {AbortSignal} signal
   * @param {() => boolean} condition
   */
  async #while(signal, condition) {
    while (!signal.aborted && condition()) await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
  }

  #aheadS() {
    return this.#targetMs === null ? this.#timeMap.aheadS(this.element.currentTime) : 0;
  }

  /**
   * @param {number} keepS
   * @param {AbortSignal} signal
   */
  async #trim(keepS, signal) {
    const untilS = this.element.currentTime - keepS;
    if (untilS <= 0) return;
    this.#timeMap.forgetBefore(untilS);
    await this.#buffer.remove(untilS, signal);
  }

  // --- playing ---

  #start() {
    this.element.playbackRate = this.#rate;
    this.element.play().catch((/** @type {DOMException} */ error) => {
      if (error.name === "NotAllowedError" && !this.#closed) this.pause();
    });
  }

  #tick() {
    this.#wake?.();
    if (this.#targetMs !== null) {
      if (this.#atEdge && this.#playing && !this.#isLate()) this.#host.caughtUp(); // the position sought is not recorded yet
      return this.#say();
    }
    const atS = this.element.currentTime;
    const first = this.#timeMap.first;
    if (first && atS - first.startS > TRIM_AT_S) void this.#trim(BEHIND_S, this.#abort.signal).catch(() => {});
    this.#stalled = atS === this.#tickedS && this.#playing && !this.element.seeking ? this.#stalled + 1 : 0;
    this.#tickedS = atS;
    if (this.#playing && !this.element.seeking && this.#restS(atS) < RUNS_DRY_S) this.#runDry();
    this.#watchGap(atS);
    this.#say();
  }

  /** Return the seconds that can be played from this time without a gap. @param {number} atS */
  #restS(atS) {
    const { buffered } = this.element;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= atS + 0.1 && atS < buffered.end(index)) return buffered.end(index) - atS;
    }
    return 0;
  }

  /** The loaded data ends here: continue with other tracks, or go live. */
  #runDry() {
    const next = this.#timeMap.after(this.element.currentTime);
    if (next && this.#stalled >= STALL_TICKS && this.gapUntilMs === null) this.element.currentTime = next.startS + 1e-3;
    else if (this.#changeMs !== null && this.#stalled >= STALL_TICKS) this.#restart(this.#changeMs);
    else if (this.#atEdge && !this.#hasEnded) this.#host.caughtUp();
  }

  /** Report a gap that was passed. @param {number} atS */
  #watchGap(atS) {
    const played = this.#timeMap.at(atS);
    const before = this.#played;
    this.#played = played;
    if (!played || !before || !this.#playing || this.element.seeking) return;
    if (played.wallMs - wallEnd(before) > SAID_GAP_MS && played === this.#timeMap.after(before.startS)) this.#host.skipped(played.wallMs);
  }

  /** @param {number} atS */
  #isBuffered(atS) {
    return this.#restS(atS) > 0;
  }

  /**
   * @param {number} atS
   * @param {number} width
   * @param {number} height
   */
  #painted(atS, width, height) {
    if (this.#targetMs !== null) return; // a late frame of the previous position
    const capturedUs = Math.round(this.#timeMap.wallOf(atS) * 1000);
    this.#host.painted(this.element, { capturedUs, width, height, sequence: -1 });
    this.#say();
  }

  #say() {
    const next = this.#judge();
    if (next === this.state || this.#closed) return;
    this.state = next;
    this.#host.state(next);
  }

  /** @returns {PlaybackState} */
  #judge() {
    const stalled = this.#stalled >= STALL_TICKS;
    const dry = this.#targetMs !== null || stalled || this.#restS(this.element.currentTime) < 0.05;
    const isBehindAll = this.#hasEnded || (this.#atEdge && this.#isLate());
    if (dry && this.gapUntilMs !== null) return "gap";
    if (dry && isBehindAll) return "ended";
    if (!this.#playing && this.ready) return "paused";
    return dry || !this.#playing || this.element.readyState < HTMLMediaElement.HAVE_CURRENT_DATA ? "seeking" : "playing";
  }

  /** Whether the position sought should have been recorded by now. */
  #isLate() {
    return this.#targetMs !== null && this.#host.nowMs() - this.#targetMs > NEAR_LIVE_MS;
  }

  get gapUntilMs() {
    if (!this.holdsGaps) return null;
    const sought = this.#targetMs !== null;
    const next = sought ? (this.#timeMap.first ?? undefined) : this.#timeMap.behindGap(this.element.currentTime);
    const beginsMs = next === null ? null : (next?.wallMs ?? this.#nextMs);
    return beginsMs !== null && beginsMs > this.nowMs + 50 ? beginsMs : null;
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  #fail(code, message) {
    if (this.#closed) return;
    this.close();
    this.#host.failed(code, message);
  }
}
