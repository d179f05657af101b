// Requests for recordings: a clip as a stream of fragments, a still, annotations, and the start of the next recording.

import { mountedUrl } from "../player/connection.js";
import { ClipParser } from "./fragments.js";

/** @typedef {{ base: string, camera: string }} Recorded a camera with recordings; `camera` is percent-encoded */

const DAY_MS = 86_400_000;
const LOOK_MS = [DAY_MS, 31 * DAY_MS]; // the maximum span of a timeline request
const MAX_LOOKS = 36; // three years
const END_MS = 5; // the last frame of a span begins this long before its end; the server makes no shorter clip

/** Spans of a timeline may contain gaps up to this length. */
export const SPAN_GAP_MS = 2_000;

/** A failed request. `code`: of the server's problem+json; empty: the network failed. */
export class RecordingError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  /** Whether a later retry may succeed: the network failed, or the server is busy or restarting. */
  get passes() {
    return /^(|limit|stopping|timeout|5\d\d)$/.test(this.code);
  }
}

/** Format as RFC 3339 with microseconds. @param {number} wallMs */
export function timeText(wallMs) {
  const whole = Math.floor(wallMs);
  const rest = Math.floor((wallMs - whole) * 1000);
  return new Date(whole).toISOString().replace("Z", `${String(rest).padStart(3, "0")}Z`);
}

/**
 * @param {URL} url
 * @param {AbortSignal} signal
 * @throws {RecordingError}
 */
async function ask(url, signal) {
  const response = await fetch(url, { signal, cache: "no-store", credentials: "same-origin" }).catch((error) => {
    throw error.name === "AbortError" ? error : new RecordingError("", String(error.message));
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new RecordingError(problem.code ?? String(response.status), problem.detail ?? response.statusText);
}

/**
 * Yield the header and the fragments of [startMs, endMs), from the preceding key frame up to a change of the format.
 * @param {Recorded} recorded
 * @param {number} startMs
 * @param {number} endMs
 * @param {AbortSignal} signal
 * @throws {RecordingError} "no_recording": nothing was recorded
 */
export async function* readClip({ base, camera }, startMs, endMs, signal) {
  const span = { start: timeText(startMs), end: timeText(endMs), partial: "1" };
  const response = await ask(mountedUrl(base, `rec/${camera}/clip.mp4`, span), signal);
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const parser = new ClipParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.feed(value);
    }
  } finally {
    void reader.cancel().catch(() => {}); // the rest is no longer needed, or there is none
  }
}

/**
 * @param {Recorded} recorded
 * @param {number} wallMs
 * @param {{ widthPx?: number, key?: boolean, signal: AbortSignal }} options `key`: the preceding key frame, which is cheap to decode
 * @returns {Promise<{ image: Blob, wallMs: number }>} `wallMs`: its capture time
 * @throws {RecordingError}
 */
export async function readStill({ base, camera }, wallMs, { widthPx = 0, key = false, signal }) {
  const query = { time: timeText(wallMs), width: widthPx ? String(widthPx) : "", nearest: key ? "key" : "" };
  const response = await ask(mountedUrl(base, `rec/${camera}/at.jpg`, query), signal);
  const image = await response.blob();
  return { image, wallMs: Date.parse(response.headers.get("x-ninjacam-timestamp") ?? "") || wallMs };
}

/**
 * Return the annotations of the frames in [startMs, endMs), ordered by time.
 * @param {Recorded} recorded
 * @param {number} startMs
 * @param {number} endMs
 * @param {AbortSignal} signal
 * @returns {Promise<{ endMs: number, frames: { view: string, captured_us: number, annotations: unknown }[] }>}
 *   `endMs`: the response is complete up to there; with many annotations, this is earlier than requested
 * @throws {RecordingError}
 */
export async function readAnnotated({ base, camera }, startMs, endMs, signal) {
  const query = { camera: decodeURIComponent(camera), start: timeText(startMs), end: timeText(endMs) };
  const answer = await (await ask(mountedUrl(base, "api/v1/annotations", query), signal)).json();
  return { endMs: Date.parse(answer.end), frames: answer.frames };
}

/**
 * Return the start of the next recording at or after `fromMs`; null: there is none.
 * @param {Recorded} recorded
 * @param {number} fromMs
 * @param {number} nowMs
 * @param {AbortSignal} signal
 * @returns {Promise<number | null>}
 */
export async function findNext(recorded, fromMs, nowMs, signal) {
  let startMs = fromMs;
  for (let step = 0; startMs < nowMs && step < MAX_LOOKS; step += 1) {
    const endMs = startMs + LOOK_MS[Math.min(step, LOOK_MS.length - 1)];
    const [first] = await readSpans(recorded, startMs, endMs, signal);
    if (first) return Math.max(fromMs, Date.parse(first.start));
    startMs = endMs;
  }
  return null;
}

/**
 * Return the last recorded time before `untilMs`, accurate to `SPAN_GAP_MS`; null: there is none.
 * @param {Recorded} recorded
 * @param {number} untilMs
 * @param {AbortSignal} signal
 * @returns {Promise<number | null>}
 */
export async function findLast(recorded, untilMs, signal) {
  let endMs = untilMs;
  for (let step = 0; step < MAX_LOOKS; step += 1) {
    const startMs = endMs - LOOK_MS[Math.min(step, LOOK_MS.length - 1)];
    const last = (await readSpans(recorded, startMs, endMs, signal)).at(-1);
    if (last) return Date.parse(last.end) + 1 > untilMs ? untilMs - 1 : Date.parse(last.end) - END_MS;
    endMs = startMs;
  }
  return null;
}

/**
 * @param {Recorded} recorded
 * @param {number} startMs
 * @param {number} endMs
 * @param {AbortSignal} signal
 * @returns {Promise<{ start: string, end: string }[]>} in order
 */
async function readSpans({ base, camera }, startMs, endMs, signal) {
  const query = { camera: decodeURIComponent(camera), start: timeText(startMs), end: timeText(endMs) };
  const answer = await (await ask(mountedUrl(base, "api/v1/timeline", query), signal)).json();
  return answer.cameras[0]?.spans ?? [];
}

/**
 * Wait for the duration, or until the signal is aborted.
 * @param {number} ms
 * @param {AbortSignal} signal
 */
export function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve(undefined);
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
