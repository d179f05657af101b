// Annotations over the video: a canvas exactly on top of it, redrawn when another frame has other annotations.
// Not here: what is known (annotations.js and its sources), and how it looks (overlay-drawing.js).

import { LiveAnnotations } from "./live-annotations.js";
import { drawAnnotations, pictureRect } from "./overlay-drawing.js";
import { RecordedAnnotations } from "../replay/recorded-annotations.js";

/** @typedef {import("./annotations.js").Annotated} Annotated */
/** @typedef {import("./annotations.js").AnnotationSource} AnnotationSource */
/** @typedef {import("../replay/clip.js").Recorded} Recorded */
/** @typedef {import("./painter.js").PaintMeta} PaintMeta */

export class Overlay {
  #stage;
  #element = document.createElement("canvas");
  #resize = new ResizeObserver((entries) => this.#resized(entries[entries.length - 1]));
  /** @type {string[]} */
  #views = [];
  /** @type {(() => AnnotationSource) | null} of what plays */
  #make = null;
  /** @type {AnnotationSource | null} only where there are views */
  #source = null;
  #drawnIn = ""; // the view that is shown live has its own annotations in its pictures
  #fit = "";
  #capturedUs = 0;
  #picture = { width: 0, height: 0 };
  #box = { width: 0, height: 0 };
  /** @type {Map<string, Annotated>} by view */
  #drawn = new Map();

  /** @param {HTMLElement} stage holds the pictures */
  constructor(stage) {
    this.#stage = stage;
    this.#element.className = "annotations";
    this.#element.setAttribute("aria-hidden", "true");
  }

  get #wanted() {
    return this.#views.filter((view) => view !== this.#drawnIn);
  }

  get annotations() {
    return Object.fromEntries([...this.#drawn].map(([view, { annotations }]) => [view, annotations]));
  }

  /** As the attribute of the player. @param {string} fit */
  set fit(fit) {
    if (fit === this.#fit) return;
    this.#fit = fit;
    this.#draw();
  }

  /** Draw what these views say. @param {string[]} views */
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
    this.#refresh();
  }

  /** The live picture of a view is shown from now on. @param {{ base: string, camera: string, view: string }} watched */
  live({ base, camera, view }) {
    this.#drawnIn = view;
    this.#follow(() => new LiveAnnotations({ base, camera }, () => this.#refresh()), 0);
  }

  /**
   * Recordings are shown from now on.
   * @param {Recorded} recorded
   * @param {number} wallMs what is sought
   */
  replay(recorded, wallMs) {
    this.#drawnIn = "";
    this.#follow(() => new RecordedAnnotations(recorded, () => this.#refresh()), wallMs * 1000);
  }

  /** The picture stands still, and what is drawn on it stays. */
  stop() {
    this.#closeSource();
    this.#make = null;
  }

  /** There is no picture any more. */
  clear() {
    this.stop();
    this.#capturedUs = 0;
    this.#refresh();
  }

  /** This picture is on the screen. @param {PaintMeta} meta */
  show({ capturedUs, width, height }) {
    if (capturedUs) this.#capturedUs = capturedUs; // unknown for a moment: it is hardly another one
    const isOther = width !== this.#picture.width || height !== this.#picture.height;
    this.#picture = { width, height };
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

  /** Draw if there is something else to draw. */
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
    if (!pen || !this.#drawn.size || !this.#box.width || !this.#picture.width) return;
    const lists = [...this.#drawn].map(([view, { annotations }]) => ({ view, annotations }));
    const picture = pictureRect(this.#box, this.#picture, this.#fit);
    drawAnnotations(pen, lists, { box: this.#box, picture, density: width / this.#box.width });
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
