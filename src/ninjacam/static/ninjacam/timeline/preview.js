// Small pictures of instants for the pointer on a timeline: the latest wins, one question at a time, kept a while.

import { RecordingError, readPicture } from "../replay/clip.js";

const WIDTH_PX = 240;
const KEPT = 120;
const MIN_MS = 120; // from one question to the next

/** @typedef {{ camera: string, wallMs: number }} Wish */

export class Previews {
  #base;
  #changed;
  /** @type {Map<string, string>} what was asked -> an object URL, or empty where there is no picture; the latest last */
  #kept = new Map();
  /** @type {Wish | null} */
  #wish = null;
  #asking = false;
  #askedAt = 0;
  #abort = new AbortController();

  /**
   * @param {string} base
   * @param {() => void} changed a picture has come
   */
  constructor(base, changed) {
    this.#base = base;
    this.#changed = changed;
  }

  /**
   * The picture of about that instant, if it is here; else it is asked for. "": there is none.
   * @param {string} camera
   * @param {number} wallMs
   * @param {number} grainMs how exact
   * @returns {string | null} an object URL
   */
  find(camera, wallMs, grainMs) {
    const grain = Math.max(1000, 2 ** Math.ceil(Math.log2(grainMs)));
    const wish = { camera, wallMs: Math.round(wallMs / grain) * grain };
    const found = this.#kept.get(keyOf(wish));
    if (found !== undefined) return found;
    this.#wish = wish;
    void this.#ask();
    return null;
  }

  /** The pointer has left. */
  forget() {
    this.#wish = null;
  }

  close() {
    this.#wish = null;
    this.#abort.abort();
    this.#abort = new AbortController();
    for (const url of this.#kept.values()) URL.revokeObjectURL(url);
    this.#kept.clear();
  }

  async #ask() {
    if (this.#asking) return;
    this.#asking = true;
    while (this.#wish) {
      const waitMs = this.#askedAt + MIN_MS - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const wish = /** @type {Wish | null} */ (this.#wish);
      if (!wish) break;
      this.#wish = null;
      this.#askedAt = performance.now();
      await this.#load(wish);
    }
    this.#asking = false;
  }

  /** @param {Wish} wish */
  async #load({ camera, wallMs }) {
    const { signal } = this.#abort;
    let url = "";
    try {
      const recorded = { base: this.#base, camera: encodeURIComponent(camera) };
      const { picture } = await readPicture(recorded, wallMs, { widthPx: WIDTH_PX, key: true, signal });
      url = URL.createObjectURL(picture);
    } catch (error) {
      if (signal.aborted || !(error instanceof RecordingError) || error.passes) return; // asked again when pointed at
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

/** @param {Wish} wish */
function keyOf({ camera, wallMs }) {
  return `${camera} ${wallMs}`;
}
