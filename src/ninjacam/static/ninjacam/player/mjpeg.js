// The last rung: multipart JPEG over HTTP, for networks that block WebSockets. It calls the same handlers as connection.js,
// and reads the stream with fetch, because <img> reports neither errors nor frames nor the end.

import { mountedUrl } from "./connection.js";

/** @typedef {import("./connection.js").Handlers} Handlers */
/** @typedef {import("./connection.js").Link} Link */

const BACKOFF_FIRST_MS = 500;
const MAX_BACKOFF_MS = 5000;
const MAX_HEADERS_LENGTH = 4096;

/**
 * @typedef {object} MjpegRequest
 * @property {string} base
 * @property {string} camera
 * @property {string} view
 * @property {string} stream empty: by width
 * @property {number | null} width
 */

/**
 * Watch until the returned function is called; reconnects by itself.
 * @param {MjpegRequest} request
 * @param {Handlers} handlers
 * @returns {() => void}
 */
export function watchMjpeg({ base, camera, view, stream, width }, handlers) {
  const url = mountedUrl(base, `live/${camera}/mjpeg`, { view, stream, width: width ? String(width) : "" });
  const abort = new AbortController();
  void run(url, handlers, abort.signal);
  return () => abort.abort();
}

/**
 * @param {URL} url
 * @param {Handlers} handlers
 * @param {AbortSignal} signal
 */
async function run(url, handlers, signal) {
  let failures = 0;
  while (!signal.aborted) {
    /** @type {Link} */
    let link = "down";
    try {
      const response = await fetch(url, { signal, cache: "no-store", credentials: "same-origin" });
      if (response.ok && response.body) {
        handlers.onlink("up");
        if ((await readParts(response, handlers)) > 0) failures = 0;
      } else {
        link = await refused(response, handlers);
        if (link === "refused") return;
      }
    } catch {
      // the network failed, or the caller aborted: both are handled below
    }
    if (signal.aborted) return;
    handlers.onlink(link);
    failures += 1;
    const most = Math.min(MAX_BACKOFF_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1));
    await new Promise((resolve) => setTimeout(resolve, most * (0.5 + Math.random() / 2)));
  }
}

/**
 * Report the error of a problem+json response.
 * @param {Response} response
 * @param {Handlers} handlers
 * @returns {Promise<Link>} "up": the camera itself is off; "refused": asking again would not help
 */
async function refused(response, handlers) {
  /** @type {{ code?: string, detail?: string, title?: string }} */
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail ?? problem.title ?? "";
  if (problem.code === "not_wrapped") {
    handlers.onerror(problem.code, message);
    return "refused";
  }
  if (response.status >= 500 || response.status === 429) {
    const state = response.headers.get("x-ninjacam-state") ?? "";
    const off = state === "disabled" || state === "failed";
    handlers.onstate(off || state === "asleep" ? state : "reconnecting", message, null);
    return off ? "up" : "down";
  }
  const codes = /** @type {Record<number, string>} */ ({ 401: "not_authenticated", 403: "forbidden", 404: "not_found" });
  handlers.onerror(problem.code ?? codes[response.status] ?? "error", message);
  return "refused";
}

/**
 * @param {Response} response
 * @param {Handlers} handlers
 * @returns {Promise<number>} the number of frames received
 */
async function readParts(response, handlers) {
  const parser = new MultipartParser();
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  let count = 0;
  handlers.onstream({ codec: "mjpeg", width: 0, height: 0, format: "jpeg" });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return count;
    for (const { headers, body } of parser.feed(value)) {
      count += 1;
      handlers.onstate(headers.get("x-ninjacam-state") ?? "live", "", null);
      handlers.onframe({
        key: true, config: false, discont: false, stream: 0, sequence: count, ptsUs: 0, durationUs: 0,
        capturedUs: Number(headers.get("x-timestamp") ?? 0) * 1e6, width: 0, height: 0, payload: body,
      });
    }
  }
}

/** Parses parts with a Content-Length, which our server always sends. */
export class MultipartParser {
  #held = new Uint8Array(0);
  /** @type {Map<string, string> | null} of the part whose body is being received */
  #headers = null;

  /**
   * @param {Uint8Array} chunk
   * @returns {{ headers: Map<string, string>, body: Uint8Array<ArrayBuffer> }[]} the parts that this chunk completes
   */
  feed(chunk) {
    const data = new Uint8Array(this.#held.byteLength + chunk.byteLength);
    data.set(this.#held);
    data.set(chunk, this.#held.byteLength);
    const parts = [];
    let offset = 0;
    for (;;) {
      if (!this.#headers) {
        const end = endOfHeaders(data, offset);
        if (end < 0) break;
        this.#headers = parseHeaders(data.subarray(offset, end));
        offset = end;
      }
      const size = Number(this.#headers.get("content-length"));
      if (!(size >= 0)) throw new Error("A part of the multipart stream has no Content-Length.");
      if (data.byteLength < offset + size) break;
      parts.push({ headers: this.#headers, body: data.slice(offset, offset + size) });
      this.#headers = null;
      offset += size;
    }
    this.#held = data.subarray(offset);
    return parts;
  }
}

/**
 * @param {Uint8Array} data
 * @param {number} start
 * @returns {number} the offset after the empty line; -1: incomplete
 */
function endOfHeaders(data, start) {
  for (let i = start; i + 3 < data.byteLength; i += 1) {
    if (i - start > MAX_HEADERS_LENGTH) throw new Error("The multipart stream is malformed.");
    const ends = data[i] === 13 && data[i + 1] === 10 && data[i + 2] === 13 && data[i + 3] === 10;
    if (ends && i > start) return i + 4;
  }
  return -1;
}

/** @param {Uint8Array} data */
function parseHeaders(data) {
  /** @type {Map<string, string>} */
  const headers = new Map();
  for (const line of new TextDecoder("latin1").decode(data).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}
