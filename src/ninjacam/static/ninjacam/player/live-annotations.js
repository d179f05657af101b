// Annotations of live video: one subscription per view, and a short memory, because they may arrive before or after the frame.

import { findNewest, readAnnotations } from "./annotations.js";
import { connectionTo } from "./connection.js";

/** @typedef {import("./annotations.js").Annotated} Annotated */
/** @typedef {import("./connection.js").Connection} Connection */
/** @typedef {import("./frame-hold.js").FrameHold} FrameHold */

const KEPT = 100; // annotation lists per view: a few seconds
const REFUSED_RETRY_MS = 15_000;

export class LiveAnnotations {
  #connection;
  #camera;
  #received;
  /** @type {Map<string, LiveView>} */
  #views = new Map();

  /**
   * @param {{ base: string, camera: string }} watched
   * @param {FrameHold} hold learns when annotations arrive
   * @param {() => void} changed called for new annotations
   */
  constructor({ base, camera }, hold, changed) {
    this.#connection = connectionTo(base);
    this.#camera = camera;
    this.#received = (/** @type {number} */ capturedUs) => {
      hold.annotated(capturedUs);
      changed();
    };
  }

  /** @param {string[]} views */
  watch(views) {
    for (const [view, live] of this.#views) {
      if (views.includes(view)) continue;
      live.close();
      this.#views.delete(view);
    }
    for (const view of views) {
      if (!this.#views.has(view)) this.#views.set(view, new LiveView(this.#connection, this.#camera, view, this.#received));
    }
  }

  /** Nothing to do: the server sends them unasked. */
  show() {}

  /**
   * @param {string} view
   * @param {number} capturedUs
   */
  find(view, capturedUs) {
    return findNewest(this.#views.get(view)?.known ?? [], capturedUs);
  }

  close() {
    this.watch([]);
  }
}

class LiveView {
  /** @type {Annotated[]} the latest last */
  known = [];
  #connection;
  #request;
  #received;
  #unsubscribe = () => {};
  #retryTimer = 0;
  #warned = false;

  /**
   * @param {Connection} connection
   * @param {string} camera
   * @param {string} view
   * @param {(capturedUs: number) => void} received
   */
  constructor(connection, camera, view, received) {
    this.#connection = connection;
    this.#request = { camera, view, format: /** @type {const} */ ("annotations") };
    this.#received = received;
    this.#subscribe();
  }

  close() {
    clearTimeout(this.#retryTimer);
    this.#unsubscribe();
  }

  #subscribe() {
    this.#unsubscribe = this.#connection.subscribe(this.#request, {
      onannotations: (capturedUs, list) => this.#receive(capturedUs, list),
      onstate: (_state, _message, viewError) => viewError && this.#warn(viewError.code, viewError.message),
      onerror: (code, message) => this.#refused(code, message),
      onstream() {},
      onframe() {},
      onlink() {},
    });
  }

  /**
   * @param {number} capturedUs
   * @param {unknown} list
   */
  #receive(capturedUs, list) {
    this.known.push({ capturedUs, annotations: readAnnotations(list) });
    if (this.known.length > KEPT) this.known.shift();
    this.#received(capturedUs);
  }

  /**
   * The subscription has ended. Retry now and then, because the view may come later; the video continues without it.
   * @param {string} code
   * @param {string} message
   */
  #refused(code, message) {
    this.#warn(code, message);
    this.#retryTimer = setTimeout(() => this.#subscribe(), REFUSED_RETRY_MS);
  }

  /**
   * Warn only once.
   * @param {string} code
   * @param {string} message
   */
  #warn(code, message) {
    const { camera, view } = this.#request;
    if (!this.#warned) console.warn(`ninjacam: no annotations of ${view} for ${camera}: ${code} ${message}`);
    this.#warned = true;
  }
}
