// How wide a video is displayed, in device pixels: from the size of its box, the shape of its frames, and `object-fit`.

import { videoRect } from "./overlay-drawing.js";

const MIN_PX = 16; // what the server accepts
const MAX_PX = 7680;

export class DisplayWidth {
  #element;
  #resize = new ResizeObserver(() => this.#measure());
  #box = { width: 0, height: 0 };
  #frame = { width: 16, height: 9 }; // until one was displayed
  fit = "";
  /** How many times larger than its box the video is displayed. */
  zoom = 1;

  /** @param {HTMLElement} element the box */
  constructor(element) {
    this.#element = element;
  }

  observe() {
    this.#measure(); // the observer's first report comes after the next layout
    this.#resize.observe(this.#element);
  }

  disconnect() {
    this.#resize.disconnect();
  }

  /**
   * A frame of this size is displayed. The shape of the largest one counts: a change to a stream of another shape must
   * not cause the next change.
   * @param {number} width
   * @param {number} height
   */
  displayed(width, height) {
    if (width > this.#frame.width) this.#frame = { width, height };
  }

  /** 0 while the box has no size. Reads the pixel density, which changes with the display that the window is on. */
  get px() {
    const { left, right } = videoRect(this.#box, this.#frame, this.fit);
    const px = Math.floor((right - left) * this.zoom * devicePixelRatio + 0.01);
    return px > 0 ? Math.min(MAX_PX, Math.max(MIN_PX, px)) : 0;
  }

  #measure() {
    this.#box = { width: this.#element.clientWidth, height: this.#element.clientHeight };
  }
}
