// The shapes on the image: draws them as SVG, and changes them by mouse, touch and keyboard. No forms and no network.

import { addMiddle, moveAll, pointAt } from "./points.js";

/** @typedef {import("./points.js").Point} Point */
/** @typedef {"zone" | "line" | "mask"} Kind */
/** @typedef {{ name: string, kind: Kind, color: string, points: Point[] }} Shape */
/** @typedef {{ start: Point, points: Point[], index: number }} Drag `index`: the point that is dragged; -1: all of them */

const NEAR_PX = 14; // at this distance from the first point, a click finishes a shape
const STEP = 0.01;
const FINE_STEP = 0.001; // with Shift
const SVG = "http://www.w3.org/2000/svg";
/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class ShapeEditor {
  /**
   * Called if a shape was selected on the image.
   * @type {(key: string) => void}
   */
  onselect = () => {};
  /**
   * Called for each change of the selected shape.
   * @type {(key: string, points: Point[]) => void}
   */
  onchange = () => {};
  /**
   * Called if the point that `removePoint` would remove is another one.
   * @type {(canRemove: boolean) => void}
   */
  onpoint = () => {};
  /**
   * Called when a new shape has all its points.
   * @type {(kind: Kind, points: Point[]) => void}
   */
  ondrawn = () => {};
  /** Called if the drawing of a new shape was cancelled. */
  oncancel = () => {};

  #svg;
  #limits;
  #describe;
  /** @type {Map<string, Shape>} */
  #shapes = new Map();
  #selected = "";
  #point = -1; // index of the selected point of the selected shape
  /** @type {Drag | null} */
  #drag = null;
  /** @type {Shape | null} a new shape, whose points are being placed */
  #drawing = null;
  /** @type {Point | null} the pointer, while drawing */
  #pointer = null;

  /**
   * @param {SVGSVGElement} svg covers the image exactly
   * @param {{ max_points: number, min_points: Record<string, number> }} limits
   * @param {(point: Point, number: number, count: number) => string} describe returns the name of a point
   */
  constructor(svg, limits, describe) {
    this.#svg = svg;
    this.#limits = limits;
    this.#describe = describe;
    svg.addEventListener("pointerdown", (event) => this.#press(event));
    svg.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      svg.addEventListener(name, () => (this.#drag = null));
    }
    svg.addEventListener("mousedown", (event) => event.preventDefault()); // It would take the focus from the point.
    svg.addEventListener("dblclick", () => this.#drawing && this.#finish());
    svg.addEventListener("keydown", (event) => this.#pressKey(event));
    svg.addEventListener("focusin", (event) => this.#choosePoint(numberOf(event.target, "point")));
    document.addEventListener("keydown", (event) => this.#pressDrawingKey(event));
    new ResizeObserver(() => this.#render()).observe(svg);
  }

  /**
   * @param {string} key
   * @param {Shape} shape
   */
  put(key, shape) {
    this.#shapes.set(key, shape);
    this.#render();
  }

  /** @param {string} key */
  remove(key) {
    this.#shapes.delete(key);
    if (this.#selected === key) this.select("");
    this.#render();
  }

  /** @param {string} key "": none */
  select(key) {
    if (key === this.#selected) return;
    this.#selected = key;
    if (key) this.#drawing = null;
    this.#choosePoint(-1);
    this.#render();
  }

  /**
   * Let the user place the points of a new shape.
   *
   * @param {Kind} kind
   * @param {string} color
   */
  draw(kind, color) {
    this.select("");
    this.#drawing = { name: "", kind, color, points: [] };
    this.#pointer = null;
    this.#render();
  }

  removePoint() {
    const shape = this.#shapes.get(this.#selected);
    if (!shape || !this.#canRemove()) return;
    const points = shape.points.toSpliced(this.#point, 1);
    this.#choosePoint(Math.min(this.#point, points.length - 1));
    this.#change(points);
  }

  #canRemove() {
    const shape = this.#shapes.get(this.#selected);
    return Boolean(shape && this.#point >= 0 && shape.points.length > (this.#limits.min_points[shape.kind] ?? 2));
  }

  /** @param {number} index */
  #choosePoint(index) {
    this.#point = index;
    this.onpoint(this.#canRemove());
  }

  /** @param {Point[]} points */
  #change(points) {
    const shape = this.#shapes.get(this.#selected);
    if (!shape) return;
    this.#shapes.set(this.#selected, { ...shape, points });
    this.#render();
    this.onpoint(this.#canRemove());
    this.onchange(this.#selected, points);
  }

  // --- mouse and touch ---

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    const at = this.#positionOf(event);
    if (this.#drawing) return this.#place(at);
    const key = /** @type {SVGElement} */ (event.target).dataset.key ?? "";
    if (!key) return;
    if (key !== this.#selected) {
      this.select(key);
      this.onselect(key);
      return;
    }
    this.#svg.setPointerCapture(event.pointerId);
    const point = numberOf(event.target, "point");
    const edge = numberOf(event.target, "edge");
    if (edge >= 0) return this.#addAt(edge + 1, at);
    this.#choosePoint(point);
    this.#startDrag(at, point);
    this.#render();
    this.#focusPoint();
  }

  /**
   * @param {number} index
   * @param {Point} at
   */
  #addAt(index, at) {
    const shape = this.#shapes.get(this.#selected);
    if (!shape || shape.points.length >= this.#limits.max_points) return;
    this.#point = index;
    this.#change(shape.points.toSpliced(index, 0, at));
    this.#startDrag(at, index);
    this.#focusPoint();
  }

  /**
   * @param {Point} start
   * @param {number} index
   */
  #startDrag(start, index) {
    this.#drag = { start, index, points: this.#shapes.get(this.#selected)?.points ?? [] };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const at = this.#positionOf(event);
    if (this.#drawing) {
      this.#pointer = at;
      this.#render();
    }
    if (!this.#drag) return;
    const { start, index, points } = this.#drag;
    const moved = index < 0 ? moveAll(points, at[0] - start[0], at[1] - start[1]) : points.with(index, at);
    this.#change(moved);
  }

  /** @param {PointerEvent} event @returns {Point} */
  #positionOf(event) {
    const box = this.#svg.getBoundingClientRect();
    return pointAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  // --- a new shape ---

  /** @param {Point} at */
  #place(at) {
    const shape = this.#drawing;
    if (!shape) return;
    const first = shape.points[0];
    const last = shape.points.at(-1);
    if (first && shape.points.length >= 3 && this.#distance(first, at) < NEAR_PX) return this.#finish();
    if (last && this.#distance(last, at) < 2) return; // the second click of a double click
    shape.points.push(at);
    const isComplete = shape.kind === "line" && shape.points.length === 2;
    if (isComplete || shape.points.length >= this.#limits.max_points) this.#finish();
    else this.#render();
  }

  #finish() {
    const shape = this.#drawing;
    if (!shape || shape.points.length < (this.#limits.min_points[shape.kind] ?? 2)) return;
    this.#drawing = null;
    this.ondrawn(shape.kind, shape.points);
  }

  /** @param {KeyboardEvent} event */
  #pressDrawingKey(event) {
    if (!this.#drawing) return;
    if (event.key === "Enter") this.#finish();
    else if (event.key === "Backspace") this.#drawing.points.pop();
    else if (event.key === "Escape") {
      this.#drawing = null;
      this.oncancel();
    } else return;
    event.preventDefault(); // Enter would press the focused button again.
    this.#render();
  }

  /**
   * @param {Point} a
   * @param {Point} b
   * @returns {number} in CSS pixels
   */
  #distance(a, b) {
    const { width, height } = this.#svg.getBoundingClientRect();
    return Math.hypot((a[0] - b[0]) * width, (a[1] - b[1]) * height);
  }

  // --- keyboard ---

  /** @param {KeyboardEvent} event */
  #pressKey(event) {
    const shape = this.#shapes.get(this.#selected);
    const point = shape?.points[this.#point];
    if (!shape || !point || event.ctrlKey || event.altKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) {
      const step = event.shiftKey ? FINE_STEP : STEP;
      this.#change(shape.points.with(this.#point, pointAt(point[0] + arrow[0] * step, point[1] + arrow[1] * step)));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.removePoint();
    } else if ((event.key === "Insert" || event.key === "+") && shape.points.length < this.#limits.max_points) {
      const added = addMiddle(shape.points, this.#point, shape.kind !== "line");
      this.#point = added.index;
      this.#change(added.points);
    } else return;
    event.preventDefault();
    this.#focusPoint();
  }

  #focusPoint() {
    const circle = this.#svg.querySelector(`[data-point="${this.#point}"]`);
    if (circle instanceof SVGElement) circle.focus();
  }

  // --- drawing ---

  #render() {
    const hadFocus = this.#svg.contains(document.activeElement);
    const { width, height } = this.#svg.getBoundingClientRect();
    this.#svg.setAttribute("viewBox", `0 0 ${width || 1} ${height || 1}`);
    this.#svg.classList.toggle("drawing", this.#drawing !== null);
    const others = [...this.#shapes].filter(([key]) => key !== this.#selected);
    const chosen = [...this.#shapes].filter(([key]) => key === this.#selected); // above the others
    const parts = [...others, ...chosen].flatMap(([key, shape]) => this.#parts(key, shape, width, height));
    if (this.#drawing) parts.push(...this.#drawingParts(this.#drawing, width, height));
    this.#svg.replaceChildren(...parts);
    if (hadFocus) this.#focusPoint();
  }

  /**
   * @param {string} key
   * @param {Shape} shape
   * @param {number} width
   * @param {number} height
   */
  #parts(key, shape, width, height) {
    const points = scaled(shape.points, width, height);
    if (!points.length) return [];
    const isSelected = key === this.#selected;
    const kind = `shape ${shape.kind}${isSelected ? " selected" : ""}`;
    const parts = outline(points, shape.kind !== "line", shape.color, kind, key);
    parts.push(label(shape.name, points, width));
    return isSelected ? [...parts, ...this.#handles(key, shape, points)] : parts;
  }

  /**
   * @param {string} key
   * @param {Shape} shape
   * @param {Point[]} points
   */
  #handles(key, shape, points) {
    const edges = points.slice(0, shape.kind === "line" ? -1 : undefined).map(([x, y], index) => {
      const [toX, toY] = /** @type {Point} */ (points[(index + 1) % points.length]);
      return make("line", { class: "edge", x1: x, y1: y, x2: toX, y2: toY, "data-edge": index, "data-key": key });
    });
    const circles = points.map(([x, y], index) => {
      const name = this.#describe(/** @type {Point} */ (shape.points[index]), index + 1, points.length);
      return make("circle", {
        class: "point", cx: x, cy: y, r: 7, fill: shape.color, tabindex: 0, role: "button", "aria-label": name,
        "data-point": index, "data-key": key,
      });
    });
    return [...edges, ...circles];
  }

  /**
   * @param {Shape} shape
   * @param {number} width
   * @param {number} height
   */
  #drawingParts(shape, width, height) {
    const points = scaled(shape.points, width, height);
    const next = this.#pointer && points.length ? scaled([this.#pointer], width, height) : [];
    const parts = outline([...points, ...next], false, shape.color, "shape new", "");
    return [...parts, ...points.map(([x, y], index) => make("circle", {
      class: index ? "point" : "point first", cx: x, cy: y, r: index ? 5 : 9, fill: shape.color,
    }))];
  }
}

/**
 * @param {EventTarget | null} target
 * @param {"point" | "edge"} name
 * @returns {number} of a data attribute; -1 without it
 */
function numberOf(target, name) {
  const text = target instanceof SVGElement ? target.dataset[name] : undefined;
  return text === undefined ? -1 : Number(text);
}

/**
 * @param {Point[]} points
 * @param {number} width
 * @param {number} height
 * @returns {Point[]} in CSS pixels
 */
function scaled(points, width, height) {
  return points.map(([x, y]) => [x * width, y * height]);
}

/**
 * Return the lines of a shape, and the arrow at the end of an open one.
 *
 * @param {Point[]} points
 * @param {boolean} isClosed
 * @param {string} color
 * @param {string} kind
 * @param {string} key
 */
function outline(points, isClosed, color, kind, key) {
  const data = `M${points.map((point) => point.join(" ")).join("L")}${isClosed ? "Z" : ""}`;
  const common = { d: points.length ? data : "", "data-key": key };
  const parts = [
    make("path", { ...common, class: "halo" }),
    make("path", { ...common, class: "hit" }), // A line is thinner than a finger.
    make("path", { ...common, class: kind, stroke: color, fill: isClosed ? color : "none" }),
  ];
  const [end, before] = [points.at(-1), points.at(-2)];
  if (!isClosed && kind !== "shape new" && end && before) {
    const degrees = (Math.atan2(end[1] - before[1], end[0] - before[0]) * 180) / Math.PI;
    const turned = `translate(${end.join(" ")}) rotate(${degrees})`;
    parts.push(make("path", { class: "arrow", d: "M0 0L-18 -8V8Z", fill: color, transform: turned, "data-key": key }));
  }
  return parts;
}

/**
 * @param {string} name
 * @param {Point[]} points
 * @param {number} width
 */
function label(name, points, width) {
  const [x, y] = points.reduce((highest, point) => (point[1] < highest[1] ? point : highest));
  const isRight = x > width * 0.7; // It would leave the image.
  const text = make("text", {
    class: "label", x: isRight ? x - 10 : x + 10, y: Math.max(18, y - 10), "text-anchor": isRight ? "end" : "start",
  });
  text.textContent = name;
  return text;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function make(tag, attributes) {
  const made = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}
