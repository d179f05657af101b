// Loads the visible range of a timeline: one request for all cameras, cached by range, its end refreshed.

import { mountedUrl } from "../player/connection.js";
import { timeText } from "../replay/clip.js";

/** @typedef {{ startMs: number, endMs: number }} Range */
/** @typedef {Range & { id: string, kind: string, label: string, running: boolean }} TimelineEvent */
/** @typedef {{ startMs: number, stepMs: number, bitrateBps: number[] }} Activity */
/** @typedef {{ spans: Range[], events: TimelineEvent[], activity: Activity | null }} Row */
/** @typedef {Range & { stepMs: number, rows: Map<string, Row>, loadedAt: number }} Loaded */

export const MAX_SPAN_MS = 31 * 86_400_000; // the API's maximum span
const DEBOUNCE_MS = 120;
const REFRESH_MS = 4_000;
const RETRY_MS = 3_000;
const TAIL_MS = 120_000;
const KEPT = 24;
const BUCKETS = 400;
const WHOLE_EVERY_MS = 60_000; // interval of reloading everything up to now
/** @type {Row} */
const NOTHING = { spans: [], events: [], activity: null };

export class TimelineData {
  #base;
  #changed;
  #nowMs;
  /** @type {string[]} */
  #cameras = [];
  /** @type {Loaded[]} the latest last */
  #kept = [];
  /** @type {Range | null} */
  #wanted = null;
  #timer = 0;
  #abort = new AbortController();
  #loading = false;
  /** Why the last load failed; empty: it did not. */
  error = "";

  /**
   * @param {string} base
   * @param {() => void} changed called when there is more to draw
   * @param {() => number} nowMs
   */
  constructor(base, changed, nowMs) {
    this.#base = base;
    this.#changed = changed;
    this.#nowMs = nowMs;
  }

  /** @param {string[]} cameras */
  setCameras(cameras) {
    this.#cameras = cameras;
    this.#kept = [];
    this.close(); // a request in progress is for other cameras
    if (this.#wanted) this.show(this.#wanted.startMs, this.#wanted.endMs);
  }

  /**
   * Set the visible range.
   * @param {number} startMs
   * @param {number} endMs
   */
  show(startMs, endMs) {
    this.#wanted = { startMs, endMs };
    if (this.#loading && this.#find()) return;
    this.#plan(this.#find() ? REFRESH_MS : DEBOUNCE_MS);
  }

  close() {
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#loading = false;
  }

  /** The best loaded data for the visible range, exact or coarser. @returns {Loaded | null} */
  get loaded() {
    const wanted = this.#wanted;
    if (!wanted) return null;
    const overlaps = this.#kept.filter((each) => each.startMs < wanted.endMs && each.endMs > wanted.startMs);
    return this.#find() ?? overlaps.sort((a, b) => shared(b, wanted) - shared(a, wanted))[0] ?? null;
  }

  /** @param {string} camera */
  row(camera) {
    return this.loaded?.rows.get(camera) ?? NOTHING;
  }

  #find() {
    const wanted = this.#wanted;
    if (!wanted) return null;
    const stepMs = stepOf(wanted);
    const fits = (/** @type {Loaded} */ each) =>
      each.startMs <= wanted.startMs && each.endMs >= wanted.endMs && each.stepMs <= 2 * stepMs && each.stepMs * 8 > stepMs;
    return this.#kept.findLast(fits) ?? null;
  }

  /** @param {number} inMs */
  #plan(inMs) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#load(), inMs);
  }

  async #load() {
    const wanted = this.#wanted;
    if (!wanted || this.#cameras.length === 0) return;
    if (document.visibilityState === "hidden") return this.#plan(REFRESH_MS);
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#loading = true;
    try {
      const found = this.#find();
      if (!found) await this.#loadWhole(wanted, signal);
      else if (found.endMs > found.loadedAt) await this.#loadTail(found, signal);
      if (signal.aborted) return;
      this.error = "";
      this.#changed();
      this.#plan(REFRESH_MS);
    } catch (error) {
      if (signal.aborted) return;
      this.error = String(/** @type {Error} */ (error).message);
      this.#changed();
      this.#plan(RETRY_MS);
    } finally {
      if (!signal.aborted) this.#loading = false;
    }
  }

  /**
   * Load with a margin of half the span on both sides, so that panning a little needs no request.
   * @param {Range} wanted
   * @param {AbortSignal} signal
   */
  async #loadWhole(wanted, signal) {
    const spanMs = wanted.endMs - wanted.startMs;
    const marginMs = Math.min(spanMs / 2, Math.max(0, (MAX_SPAN_MS - spanMs) / 2));
    const startMs = Math.floor(wanted.startMs - marginMs);
    const endMs = Math.ceil(wanted.endMs + marginMs);
    const loadedAt = this.#nowMs();
    const rows = await this.#ask(startMs, endMs, signal);
    this.#kept.push({ startMs, endMs, stepMs: stepOf(wanted), rows, loadedAt });
    if (this.#kept.length > KEPT) this.#kept.shift();
  }

  /**
   * Load what was recorded since the last load.
   * @param {Loaded} loaded
   * @param {AbortSignal} signal
   */
  async #loadTail(loaded, signal) {
    const nowMs = this.#nowMs();
    if (loaded.stepMs > 0 && nowMs - loaded.loadedAt > WHOLE_EVERY_MS) {
      this.#kept = this.#kept.filter((each) => each !== loaded);
      return this.#loadWhole({ startMs: loaded.startMs, endMs: loaded.endMs }, signal);
    }
    const fromMs = Math.max(loaded.startMs, Math.floor(loaded.loadedAt - TAIL_MS));
    const rows = await this.#ask(fromMs, Math.min(loaded.endMs, Math.ceil(nowMs + TAIL_MS)), signal);
    for (const [camera, tail] of rows) {
      const before = loaded.rows.get(camera) ?? NOTHING;
      const ids = new Set(tail.events.map((event) => event.id));
      loaded.rows.set(camera, {
        spans: join([...before.spans.filter((each) => each.startMs < fromMs), ...tail.spans], fromMs),
        events: [...before.events.filter((event) => event.startMs < fromMs && !ids.has(event.id)), ...tail.events],
        activity: before.activity,
      });
    }
  }

  /**
   * @param {number} startMs
   * @param {number} endMs
   * @param {AbortSignal} signal
   * @returns {Promise<Map<string, Row>>}
   */
  async #ask(startMs, endMs, signal) {
    const query = { start: timeText(startMs), end: timeText(endMs), buckets: String(BUCKETS) };
    const url = mountedUrl(this.#base, "api/v1/timeline", query);
    for (const camera of this.#cameras) url.searchParams.append("camera", camera);
    const response = await fetch(url, { signal, credentials: "same-origin", headers: { Accept: "application/json" } });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.detail ?? `${response.status} ${response.statusText}`);
    return new Map(answer.cameras.map((/** @type {any} */ each) => [each.camera, readRow(each, startMs)]));
  }
}

/**
 * @param {any} answer of one camera
 * @param {number} startMs
 * @returns {Row}
 */
function readRow({ spans, events = [], activity = null }, startMs) {
  return {
    spans: spans.map(readRange),
    events: events.map((/** @type {any} */ event) => ({
      ...readRange({ start: event.start, end: event.end ?? event.start }),
      id: String(event.id),
      kind: event.kind,
      label: event.label || event.kind,
      running: event.end === null,
    })),
    activity: activity && { startMs, stepMs: activity.step_s * 1000, bitrateBps: activity.bitrate_bps },
  };
}

/**
 * @param {{ start: string, end: string }} range
 * @returns {Range}
 */
function readRange({ start, end }) {
  return { startMs: Date.parse(start), endMs: Date.parse(end) };
}

/**
 * Merge two spans that meet where the tail was appended.
 * @param {Range[]} spans
 * @param {number} atMs
 */
function join(spans, atMs) {
  /** @type {Range[]} */
  const joined = [];
  for (const span of spans) {
    const last = joined.at(-1);
    if (last && last.endMs >= span.startMs && span.startMs <= atMs + 1) last.endMs = Math.max(last.endMs, span.endMs);
    else joined.push({ ...span });
  }
  return joined;
}

/** @param {Range} range */
function stepOf({ startMs, endMs }) {
  return (endMs - startMs) / BUCKETS;
}

/**
 * @param {Range} a
 * @param {Range} b
 */
function shared(a, b) {
  return Math.min(a.endMs, b.endMs) - Math.max(a.startMs, b.startMs);
}
