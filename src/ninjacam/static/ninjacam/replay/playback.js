// Recordings by MSE: clips are fetched ahead of the playing picture, appended to one time line, and forgotten behind it.
// Media time is the wall clock since an origin, so gaps are gaps. Not here: anything that is seen but the picture.

import { ClipBuffer, LONGEST_S } from "./clip-buffer.js";
import { RecordingError, SPAN_GAP_MS, findLast, findNext, readClip, sleep } from "./clip.js";
import { TimeMap, wallEnd } from "./time-map.js";
import { watchVideo } from "../player/painter.js";

/** @typedef {import("./clip.js").Recorded} Recorded */
/** @typedef {import("./fragments.js").Fragment} Fragment */
/** @typedef {import("./time-map.js").PlacedFragment} PlacedFragment */
/** @typedef {import("../player/painter.js").Picture} Picture */
/** @typedef {import("../player/painter.js").PaintMeta} PaintMeta */

/**
 * "seeking": the picture is being fetched; "gap": nothing was recorded then, and it waits for what comes; "ended":
 * nothing more was recorded.
 * @typedef {"seeking" | "playing" | "paused" | "gap" | "ended"} PlaybackState
 */

/**
 * @typedef {object} PlaybackHost
 * @property {(picture: Picture, meta: PaintMeta) => void} painted
 * @property {(state: PlaybackState) => void} state only when it changed
 * @property {(untilMs: number) => void} skipped a gap was jumped over
 * @property {() => void} caughtUp there is nothing more to play before the live picture
 * @property {(code: string, message: string) => void} failed "unsupported_codec", or as the server says; it is over
 * @property {() => number} nowMs the server's wall clock
 */

/**
 * What plays recordings: this one, and that of single pictures.
 * @typedef {object} Replay
 * @property {HTMLElement} element
 * @property {number} framesDecoded
 * @property {number} nowMs the wall clock that it plays at
 * @property {number} pictureMs when the picture was captured that it shows, or that is sought
 * @property {boolean} ready whether it shows what was sought
 * @property {number | null} gapUntilMs in the state "gap": when the next recording begins
 * @property {boolean} holdsGaps in a gap it waits for a seek, and does not jump over it
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

const FIRST_WINDOW_MS = 5_000; // short, so that the server has to look into a file or two only
const WINDOW_MS = 10_000;
const AHEAD_S = 20; // at 1x; at 8x half a minute
const MAX_AHEAD_S = 32;
const BEHIND_S = 20;
const TRIM_AT_S = 30;
const TICK_MS = 100;
const RETRY_MS = 500;
const EDGE_RETRY_MS = 1_000; // a fragment is a second
const ENDED_RETRY_MS = 10_000;
const EDGE_AHEAD_S = 5;
const FAILED_RETRY_MS = 2_000;
const NEAR_LIVE_MS = 5_000;
const EDGE_MS = 60_000; // no recordings for this long until now: the camera is not being recorded
const SAID_GAP_MS = 2_000;
const RUNS_DRY_S = 0.3;
const ENOUGH_S = 1; // behind what is sought: a decoder may want some pictures more
const STALL_TICKS = 4; // a video stops before the last pictures that a decoder holds
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
  /** @type {number | null} the wall clock that is sought, until its picture is here */
  #targetMs = null;
  #goesBack = false; // if nothing was recorded then, what was before is shown, not what comes
  #abort = new AbortController();
  /** @type {(() => void) | null} wakes the filling */
  #wake = null;
  #atEdge = false; // all that is recorded is here
  /** @type {number | null} other tracks begin here, which need a new source */
  #changeMs = null;
  /** @type {number | null} where the next recording begins, while the present one ends */
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
   * @param {number} wallMs where to begin
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

  get pictureMs() {
    return this.#targetMs ?? this.#timeMap.wallOf(this.#timeMap.pictureOf(this.element.currentTime));
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
    this.element.playbackRate = this.element.defaultPlaybackRate = rate; // a new source begins with the latter
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
    const nowS = this.element.currentTime; // not what was painted last: a step before may be on its way
    const atS = this.#timeMap.step(nowS, count);
    if (atS !== null && this.#isBuffered(atS)) this.element.currentTime = atS;
    else if (count < 0) this.seek(this.#timeMap.wallOf(this.#timeMap.pictureOf(nowS)) - 1, true); // before the first that is here
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    this.#wake?.();
    clearInterval(this.#timer);
    this.element.pause(); // and keep showing the last picture
  }

  dispose() {
    this.close();
    this.element.removeAttribute("src");
    this.element.load();
    this.#buffer.dispose();
  }

  // --- filling ---

  /**
   * Throw all away, and fetch from there on.
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
    void this.#buffer.remove(LONGEST_S, signal);
    if (this.#goesBack) atMs = await this.#turnBack(fromMs, signal);
    while (!signal.aborted && this.#changeMs === null) {
      const endMs = atMs + windowMs;
      const came = await this.#fetch(atMs, endMs, signal);
      if (this.#goesBack && !signal.aborted) this.#arrived(Infinity);
      const last = this.#timeMap.last;
      if (came === null) {
        await sleep(FAILED_RETRY_MS, signal); // the network, or a server that starts again
      } else if (came && last) {
        atMs = Math.ceil(wallEnd(last)); // not before the end, or the fragment that ends there would come again
        windowMs = WINDOW_MS;
        this.#atEdge = false;
      } else {
        atMs = await this.#findMore(atMs, endMs, signal);
      }
      await this.#room(signal);
    }
  }

  /**
   * Seek what was recorded last before an instant.
   * @param {number} wallMs
   * @param {AbortSignal} signal
   * @returns {Promise<number>} where to fetch from
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
   * One clip.
   * @param {number} startMs
   * @param {number} endMs
   * @param {AbortSignal} signal
   * @returns {Promise<boolean | null>} whether there was something new in it; null: ask again later
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
          came = (await this.#append(part, signal)) || came; // read to its end: few connections may be held
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
   * There is nothing in [atMs, endMs). Return where to continue.
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
      return nextMs > atMs + 1 ? nextMs : endMs; // files that are gone: the index does not know it yet
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

  /** Jump to what is sought, if it is here now. @param {number} reachedMs how far what is here reaches */
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
   * Until there is too little ahead of what is played, or of the end of a gap that is waited for.
   * @param {AbortSignal} signal
   */
  async #room(signal) {
    await this.#shown(signal);
    await this.#while(signal, () => this.#targetMs !== null && this.gapUntilMs !== null && this.#timeMap.first !== null);
    await this.#while(signal, () => this.#aheadS() > Math.min(MAX_AHEAD_S, AHEAD_S * Math.max(1, this.#rate / 2)));
  }

  /**
   * Until what is sought is shown, if it is here: nothing else shall keep the decoder waiting.
   * @param {AbortSignal} signal
   */
  #shown(signal) {
    const video = this.element;
    return this.#while(signal, () => this.#targetMs === null && video.seeking && this.#restS(video.currentTime) > ENOUGH_S);
  }

  /**
   * Looked at each tick, and when something has happened.
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
      if (this.#atEdge && this.#playing && !this.#isLate()) this.#host.caughtUp(); // sought what is not recorded yet
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

  /** Return how long it can play from there without a gap. @param {number} atS */
  #restS(atS) {
    const { buffered } = this.element;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) <= atS + 0.1 && atS < buffered.end(index)) return buffered.end(index) - atS;
    }
    return 0;
  }

  /** What is here ends: on to other tracks, or to the live picture. */
  #runDry() {
    const next = this.#timeMap.after(this.element.currentTime);
    if (next && this.#stalled >= STALL_TICKS && this.gapUntilMs === null) this.element.currentTime = next.startS + 1e-3;
    else if (this.#changeMs !== null && this.#stalled >= STALL_TICKS) this.#restart(this.#changeMs);
    else if (this.#atEdge && !this.#hasEnded) this.#host.caughtUp();
  }

  /** Say when a gap was passed. @param {number} atS */
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

  /** Whether what is sought should have been recorded by now. */
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
