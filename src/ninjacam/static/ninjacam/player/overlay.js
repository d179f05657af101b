// Annotations over the video: a canvas exactly on top of it, redrawn when another frame has other annotations.
// Not here: where annotations come from (annotations.js and its sources), and how they are drawn (overlay-drawing.js).

import { LiveAnnotations } from "./live-annotations.js";
import { drawAnnotations, videoRect } from "./overlay-drawing.js";
import { RecordedAnnotations } from "../replay/recorded-annotations.js";

/** @typedef {import("./annotations.js").Annotated} Annotated */
/** @typedef {import("./annotations.js").AnnotationSource} AnnotationSource */
/** @typedef {import("./frame-hold.js").FrameHold} FrameHold */
/** @typedef {import("../replay/clip.js").Recorded} Recorded */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */

export class Overlay {
  #stage;
  #hold;
  #element = document.createElement("canvas");
  #resize = new ResizeObserver((entries) => this.#resized(entries[entries.length - 1]));
  /** @type {string[]} */
  #views = [];
  /** @type {(() => AnnotationSource) | null} creates the source for the current playback */
  #make = null;
  /** @type {AnnotationSource | null} null without views */
  #source = null;
  #drawnIn = ""; // the displayed view; its frames already contain its annotations
  #fit = "";
  #capturedUs = 0;
  #videoSize = { width: 0, height: 0 };
  #box = { width: 0, height: 0 };
  /** @type {Map<string, Annotated>} by view */
  #drawn = new Map();

  /**
   * @param {HTMLElement} stage contains the video
   * @param {FrameHold} hold of live frames
   */
  constructor(stage, hold) {
    this.#stage = stage;
    this.#hold = hold;
    this.#element.className = "annotations";
    this.#element.setAttribute("aria-hidden", "true");
  }

  get #wanted() {
    return this.#views.filter((view) => view !== this.#drawnIn);
  }

  get annotations() {
    return Object.fromEntries([...this.#drawn].map(([view, { annotations }]) => [view, annotations]));
  }

  /** The player's attribute of this name. @param {string} fit */
  set fit(fit) {
    if (fit === this.#fit) return;
    this.#fit = fit;
    this.#draw();
  }

  /** Draw the annotations of these views. @param {string[]} views */
  watch(views) {
    this.#views = [...new Set(views)];
    if (!views.length) {
      this.#closeSource();
      this.#resize.disconnect();
      this.#element.remove();
      this.#element.width = this.#element.height = 0;
    } else if (!this.#element.isConnected) {
      this.#stage.append(this.#element);
      observe(this.#resize, this.#element);
    }
    this.#open(this.#capturedUs);
    this.#hold.enable(this.#wanted.length > 0);
    this.#refresh();
  }

  /** Follow live video of this view. @param {{ base: string, camera: string, view: string }} watched */
  live({ base, camera, view }) {
    this.#drawnIn = view;
    this.#follow(() => new LiveAnnotations({ base, camera }, this.#hold, () => this.#refresh()), 0);
  }

  /**
   * Follow recordings.
   * @param {Recorded} recorded
   * @param {number} wallMs the position sought
   */
  replay(recorded, wallMs) {
    this.#drawnIn = "";
    this.#follow(() => new RecordedAnnotations(recorded, () => this.#refresh()), wallMs * 1000);
  }

  /** Stop following. The last frame and its annotations stay visible. */
  stop() {
    this.#closeSource();
    this.#make = null;
  }

  /** Stop following and remove the annotations. */
  clear() {
    this.stop();
    this.#capturedUs = 0;
    this.#refresh();
  }

  /** Report the displayed frame. @param {PaintMeta} meta */
  show({ capturedUs, width, height }) {
    if (capturedUs) this.#capturedUs = capturedUs; // if unknown, keep the last known time
    const isOther = width !== this.#videoSize.width || height !== this.#videoSize.height;
    this.#videoSize = { width, height };
    this.#source?.show(capturedUs);
    this.#refresh();
    if (isOther) this.#draw();
  }

  /**
   * @param {() => AnnotationSource} make
   * @param {number} soughtUs
   */
  #follow(make, soughtUs) {
    this.#closeSource();
    this.#make = make;
    this.#open(soughtUs);
    this.#hold.enable(this.#wanted.length > 0);
  }

  /** @param {number} capturedUs */
  #open(capturedUs) {
    if (!this.#views.length || !this.#make) return;
    const isNew = !this.#source;
    this.#source ??= this.#make();
    this.#source.watch(this.#wanted);
    if (isNew) this.#source.show(capturedUs);
  }

  #closeSource() {
    this.#source?.close();
    this.#source = null;
  }

  /** Redraw if the annotations to draw have changed. */
  #refresh() {
    const found = this.#find();
    const isSame = found.size === this.#drawn.size && [...found].every(([view, each]) => this.#drawn.get(view) === each);
    if (isSame) return;
    this.#drawn = found;
    this.#draw();
  }

  #find() {
    /** @type {Map<string, Annotated>} */
    const found = new Map();
    if (!this.#capturedUs) return found;
    for (const view of this.#wanted) {
      const annotated = this.#source ? this.#source.find(view, this.#capturedUs) : this.#drawn.get(view);
      if (annotated) found.set(view, annotated);
    }
    return found;
  }

  /** @param {ResizeObserverEntry} entry */
  #resized({ contentRect: { width, height } }) {
    this.#box = { width, height };
    this.#element.width = Math.round(width * devicePixelRatio);
    this.#element.height = Math.round(height * devicePixelRatio);
    this.#draw();
  }

  #draw() {
    if (!this.#element.isConnected) return;
    const { width, height } = this.#element;
    const pen = this.#element.getContext("2d");
    pen?.clearRect(0, 0, width, height);
    if (!pen || !this.#drawn.size || !this.#box.width || !this.#videoSize.width) return;
    const lists = [...this.#drawn].map(([view, { annotations }]) => ({ view, annotations }));
    const video = videoRect(this.#box, this.#videoSize, this.#fit);
    drawAnnotations(pen, lists, { box: this.#box, video, density: width / this.#box.width });
  }
}

/**
 * @param {ResizeObserver} observer
 * @param {HTMLElement} element
 */
function observe(observer, element) {
  try {
    observer.observe(element, { box: "device-pixel-content-box" }); // also reports changes of the pixel density
  } catch {
    observer.observe(element); // Safari
  }
}
