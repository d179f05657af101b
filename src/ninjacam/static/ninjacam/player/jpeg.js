// Draws JPEG frames on a canvas; the latest wins. For cameras and views sent as JPEG, by WebSocket or HTTP.

import { CanvasSurface } from "./painter.js";

/** @typedef {import("./painter.js").PainterHost} PainterHost */
/** @typedef {import("./painter.js").MediaFrame} MediaFrame */

const FAILURES_IN_A_ROW = 5;

export class JpegPainter {
  framesDecoded = 0;
  #surface = new CanvasSurface();
  #host;
  /** @type {MediaFrame | null} */
  #next = null;
  #busy = false;
  #closed = false;
  #failures = 0;

  /** @param {PainterHost} host */
  constructor(host) {
    this.#host = host;
  }

  get element() {
    return this.#surface.element;
  }

  configure() {}

  /** @param {MediaFrame} frame */
  push(frame) {
    this.#next = frame;
    if (!this.#busy) void this.#run();
  }

  async #run() {
    this.#busy = true;
    while (this.#next && !this.#closed) {
      const frame = this.#next;
      this.#next = null;
      try {
        this.#show(await createImageBitmap(new Blob([frame.payload], { type: "image/jpeg" })), frame);
        this.#failures = 0;
      } catch (error) {
        this.#failures += 1; // a single damaged frame is ignored
        if (this.#failures === FAILURES_IN_A_ROW) this.#host.failed(String(error), false);
      }
    }
    this.#busy = false;
  }

  /**
   * @param {ImageBitmap} image
   * @param {MediaFrame} frame
   */
  #show(image, { capturedUs, sequence }) {
    const { width, height } = image;
    if (!this.#closed) {
      this.framesDecoded += 1;
      this.#surface.draw(image, width, height);
      this.#host.painted(image, { capturedUs, width, height, sequence });
    }
    image.close();
  }

  close() {
    this.#closed = true;
  }

  dispose() {
    this.close();
    this.#surface.free();
  }
}
