// Loads thumbnails for the pointer on a timeline: one request at a time, the latest first, with a cache.

import { RecordingError, readStill } from "../replay/clip.js";

const WIDTH_PX = 240;
const KEPT = 120;
const MIN_MS = 120; // between requests

/** @typedef {{ camera: string, wallMs: number }} PreviewRequest */

export class Previews {
  #base;
  #changed;
  /** @type {Map<string, string>} request -> an object URL, or empty if nothing was recorded; the latest last */
  #kept = new Map();
  /** @type {PreviewRequest | null} */
  #request = null;
  #asking = false;
  #askedAt = 0;
  #abort = new AbortController();

  /**
   * @param {string} base
   * @param {() => void} changed called when a thumbnail was loaded
   */
  constructor(base, changed) {
    this.#base = base;
    this.#changed = changed;
  }

  /**
   * Return the thumbnail at about this time. If it is not loaded yet, return null and request it. "": nothing was recorded.
   * @param {string} camera
   * @param {number} wallMs
   * @param {number} grainMs accepted difference in time
   * @returns {string | null} an object URL
   */
  find(camera, wallMs, grainMs) {
    const grain = Math.max(1000, 2 ** Math.ceil(Math.log2(grainMs)));
    const request = { camera, wallMs: Math.round(wallMs / grain) * grain };
    const found = this.#kept.get(keyOf(request));
    if (found !== undefined) return found;
    this.#request = request;
    void this.#ask();
    return null;
  }

  /** The pointer has left. */
  forget() {
    this.#request = null;
  }

  close() {
    this.#request = null;
    this.#abort.abort();
    this.#abort = new AbortController();
    for (const url of this.#kept.values()) URL.revokeObjectURL(url);
    this.#kept.clear();
  }

  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    while (this.#request) {
      const waitMs = this.#askedAt + MIN_MS - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const request = /** @type {PreviewRequest | null} */ (this.#request);
      if (!request) break;
      this.#request = null;
      this.#askedAt = performance.now();
      await this.#load(request);
    }
    this.#asking = false;
  }

  /** @param {PreviewRequest} request */
  async #load({ camera, wallMs }) {
    const { signal } = this.#abort;
    let url = "";
    try {
      const recorded = { base: this.#base, camera: encodeURIComponent(camera) };
      const { image } = await readStill(recorded, wallMs, { widthPx: WIDTH_PX, key: true, signal });
      url = URL.createObjectURL(image);
    } catch (error) {
      if (signal.aborted || !(error instanceof RecordingError) || error.passes) return; // requested again when the pointer returns
    }
    this.#kept.set(keyOf({ camera, wallMs }), url);
    const oldest = this.#kept.keys().next().value;
    if (this.#kept.size > KEPT && oldest !== undefined) {
      URL.revokeObjectURL(this.#kept.get(oldest) ?? "");
      this.#kept.delete(oldest);
    }
    this.#changed();
  }
}

/** @param {PreviewRequest} request */
function keyOf({ camera, wallMs }) {
  return `${camera} ${wallMs}`;
}
