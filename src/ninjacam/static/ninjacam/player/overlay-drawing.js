// Draws annotations on a canvas. No state and no network. vision/drawing.py draws them into images in the same style.

/** @typedef {import("./annotations.js").Annotation} Annotation */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Rect in CSS pixels */

/**
 * @typedef {object} Place
 * @property {Size} box the canvas, in CSS pixels
 * @property {Rect} video its rectangle on the canvas, which it exceeds with `fit="cover"`
 * @property {number} density device pixels per CSS pixel
 */

/** @typedef {{ path: Path2D, bounds: Rect, annotation: Annotation, color: string }} Shape */

const LINE_PX = 2;
const DOT_PX = 4; // radius
const OUTLINE = "#000000b0"; // keeps a line visible on a background of its own colour
const FONT = "600 12px system-ui, sans-serif";
const STRIP_PX = 18; // behind a label
const PADDING_PX = 5;
const MAX_LETTERS = 100;
const BRIGHT = 140; // on brighter colours, letters are black

/**
 * Return the rectangle of the video in its box, as CSS `object-fit` computes it.
 * @param {Size} box
 * @param {Size} video
 * @param {string} fit
 * @returns {Rect}
 */
export function videoRect(box, video, fit) {
  if (fit === "fill") return { left: 0, top: 0, right: box.width, bottom: box.height };
  const scales = [box.width / video.width, box.height / video.height];
  const scale = fit === "cover" ? Math.max(...scales) : Math.min(...scales);
  const left = (box.width - video.width * scale) / 2;
  const top = (box.height - video.height * scale) / 2;
  return { left, top, right: box.width - left, bottom: box.height - top };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{ view: string, annotations: Annotation[] }[]} lists
 * @param {Place} place
 */
export function drawAnnotations(pen, lists, place) {
  const { box, video, density } = place;
  const visible = {
    left: Math.max(0, video.left), top: Math.max(0, video.top),
    right: Math.min(box.width, video.right), bottom: Math.min(box.height, video.bottom),
  };
  pen.save();
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.beginPath();
  pen.rect(visible.left, visible.top, visible.right - visible.left, visible.bottom - visible.top);
  pen.clip();
  pen.lineJoin = "round";
  pen.font = FONT;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const shapes = lists.flatMap(({ view, annotations }) => annotations.map((each) => shapeOf(pen, each, view, place)));
  for (const shape of shapes) drawShape(pen, shape, density);
  for (const shape of shapes) drawLabel(pen, shape, visible); // above all lines
  pen.restore();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Annotation} annotation
 * @param {string} view
 * @param {Place} place
 * @returns {Shape}
 */
function shapeOf(pen, annotation, view, { video, density }) {
  const snap = (/** @type {number} */ px) => Math.round(px * density) / density;
  const points = annotation.points.map(([x, y]) => ({
    x: snap(video.left + x * (video.right - video.left)),
    y: snap(video.top + y * (video.bottom - video.top)),
  }));
  if (annotation.type === "box") points.length = 2;
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  const bounds = { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
  const path = new Path2D();
  if (annotation.type === "box") {
    path.rect(bounds.left, bounds.top, bounds.right - bounds.left, bounds.bottom - bounds.top);
  } else if (annotation.type === "point") {
    path.arc(points[0].x, points[0].y, DOT_PX, 0, 2 * Math.PI);
  } else if (annotation.type === "polygon") {
    for (const { x, y } of points) path.lineTo(x, y);
    path.closePath();
  }
  return { path, bounds, annotation, color: colorOf(pen, annotation, view) };
}

/**
 * Return the annotation's own colour, or one derived from its label.
 * @param {CanvasRenderingContext2D} pen
 * @param {Annotation} annotation
 * @param {string} view
 * @returns {string} "#rrggbb", unless the annotation's own colour is translucent
 */
function colorOf(pen, { label, color }, view) {
  let hue = 0;
  for (const letter of String(label ?? view)) hue = (hue * 31 + Number(letter.codePointAt(0))) % 360;
  pen.fillStyle = `hsl(${hue} 90% 60%)`;
  if (color) pen.fillStyle = String(color); // invalid colors are ignored
  return String(pen.fillStyle);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Shape} shape
 * @param {number} density
 */
function drawShape(pen, { path, annotation, color }, density) {
  const linePx = (LINE_PX * Math.max(1, Math.round(density))) / density; // a whole number of device pixels, so that lines are crisp
  pen.strokeStyle = OUTLINE;
  pen.lineWidth = linePx * 2;
  pen.stroke(path);
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = linePx;
  if (annotation.type === "point") pen.fill(path);
  else pen.stroke(path);
}

/**
 * Draw the label on a strip above the shape or beside the point, within the visible part of the video.
 * @param {CanvasRenderingContext2D} pen
 * @param {Shape} shape
 * @param {Rect} visible
 */
function drawLabel(pen, { bounds, annotation: { type, label, score }, color }, visible) {
  const words = String(label ?? "").slice(0, MAX_LETTERS);
  const text = `${words} ${typeof score === "number" ? `${Math.round(score * 100)}%` : ""}`.trim();
  const isVisible =
    bounds.right >= visible.left && bounds.left <= visible.right && bounds.bottom >= visible.top && bounds.top <= visible.bottom;
  if (!text || !isVisible) return;
  const widthPx = Math.min(pen.measureText(text).width + 2 * PADDING_PX, visible.right - visible.left);
  const isPoint = type === "point";
  const left = isPoint ? bounds.left + 2 * DOT_PX : type === "text" ? bounds.left : bounds.left - LINE_PX / 2;
  const top = isPoint ? bounds.top - STRIP_PX / 2 : bounds.top - STRIP_PX;
  const x = Math.max(visible.left, Math.min(left, visible.right - widthPx));
  const y = Math.max(visible.top, Math.min(top, visible.bottom - STRIP_PX));
  pen.fillStyle = color;
  pen.fillRect(x, y, widthPx, STRIP_PX);
  pen.fillStyle = isBright(color) ? "#000" : "#fff";
  pen.fillText(text, x + PADDING_PX, y + STRIP_PX / 2 + 0.5, widthPx - 2 * PADDING_PX);
}

/** @param {string} color "#rrggbb"; other notations count as dark */
function isBright(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > BRIGHT;
}
