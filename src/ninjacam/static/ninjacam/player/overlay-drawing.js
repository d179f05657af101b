// Annotations drawn on a canvas. No state, no network: what is to be drawn comes in. Pictures that have them drawn in
// look alike (vision/drawing.py).

/** @typedef {import("./annotations.js").Annotation} Annotation */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Rect in CSS pixels */

/**
 * @typedef {object} Place
 * @property {Size} box the canvas, in CSS pixels
 * @property {Rect} picture where it is on the canvas; with `fit="cover"` it is larger
 * @property {number} density device pixels in a CSS pixel
 */

/** @typedef {{ path: Path2D, bounds: Rect, annotation: Annotation, color: string }} Shape */

const LINE_PX = 2;
const DOT_PX = 4; // radius
const OUTLINE = "#000000b0"; // so that a line is seen on a picture of its own colour
const FONT = "600 12px system-ui, sans-serif";
const STRIP_PX = 18; // behind a label
const PADDING_PX = 5;
const MAX_LETTERS = 100;
const BRIGHT = 140; // from there on letters are black

/**
 * Where a picture is shown, as `object-fit` of CSS does it.
 * @param {Size} box
 * @param {Size} picture
 * @param {string} fit
 * @returns {Rect}
 */
export function pictureRect(box, picture, fit) {
  if (fit === "fill") return { left: 0, top: 0, right: box.width, bottom: box.height };
  const scales = [box.width / picture.width, box.height / picture.height];
  const scale = fit === "cover" ? Math.max(...scales) : Math.min(...scales);
  const left = (box.width - picture.width * scale) / 2;
  const top = (box.height - picture.height * scale) / 2;
  return { left, top, right: box.width - left, bottom: box.height - top };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{ view: string, annotations: Annotation[] }[]} lists
 * @param {Place} place
 */
export function drawAnnotations(pen, lists, place) {
  const { box, picture, density } = place;
  const seen = {
    left: Math.max(0, picture.left), top: Math.max(0, picture.top),
    right: Math.min(box.width, picture.right), bottom: Math.min(box.height, picture.bottom),
  };
  pen.save();
  pen.setTransform(density, 0, 0, density, 0, 0);
  pen.beginPath();
  pen.rect(seen.left, seen.top, seen.right - seen.left, seen.bottom - seen.top);
  pen.clip();
  pen.lineJoin = "round";
  pen.font = FONT;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const shapes = lists.flatMap(({ view, annotations }) => annotations.map((each) => shapeOf(pen, each, view, place)));
  for (const shape of shapes) drawShape(pen, shape, density);
  for (const shape of shapes) drawLabel(pen, shape, seen); // above all lines
  pen.restore();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Annotation} annotation
 * @param {string} view
 * @param {Place} place
 * @returns {Shape}
 */
function shapeOf(pen, annotation, view, { picture, density }) {
  const snap = (/** @type {number} */ px) => Math.round(px * density) / density;
  const points = annotation.points.map(([x, y]) => ({
    x: snap(picture.left + x * (picture.right - picture.left)),
    y: snap(picture.top + y * (picture.bottom - picture.top)),
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
 * Its own, else one by the label.
 * @param {CanvasRenderingContext2D} pen
 * @param {Annotation} annotation
 * @param {string} view
 * @returns {string} "#rrggbb", unless its own is translucent
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
  const linePx = (LINE_PX * Math.max(1, Math.round(density))) / density; // even in device pixels: crisp
  pen.strokeStyle = OUTLINE;
  pen.lineWidth = linePx * 2;
  pen.stroke(path);
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = linePx;
  if (annotation.type === "point") pen.fill(path);
  else pen.stroke(path);
}

/**
 * On a strip above the shape or the place of a text, beside a point; all within what is seen of the picture.
 * @param {CanvasRenderingContext2D} pen
 * @param {Shape} shape
 * @param {Rect} seen
 */
function drawLabel(pen, { bounds, annotation: { type, label, score }, color }, seen) {
  const words = String(label ?? "").slice(0, MAX_LETTERS);
  const text = `${words} ${typeof score === "number" ? `${Math.round(score * 100)}%` : ""}`.trim();
  const isSeen =
    bounds.right >= seen.left && bounds.left <= seen.right && bounds.bottom >= seen.top && bounds.top <= seen.bottom;
  if (!text || !isSeen) return;
  const widthPx = Math.min(pen.measureText(text).width + 2 * PADDING_PX, seen.right - seen.left);
  const isPoint = type === "point";
  const left = isPoint ? bounds.left + 2 * DOT_PX : type === "text" ? bounds.left : bounds.left - LINE_PX / 2;
  const top = isPoint ? bounds.top - STRIP_PX / 2 : bounds.top - STRIP_PX;
  const x = Math.max(seen.left, Math.min(left, seen.right - widthPx));
  const y = Math.max(seen.top, Math.min(top, seen.bottom - STRIP_PX));
  pen.fillStyle = color;
  pen.fillRect(x, y, widthPx, STRIP_PX);
  pen.fillStyle = isBright(color) ? "#000" : "#fff";
  pen.fillText(text, x + PADDING_PX, y + STRIP_PX / 2 + 0.5, widthPx - 2 * PADDING_PX);
}

/** @param {string} color "#rrggbb"; all else is taken as dark */
function isBright(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > BRIGHT;
}
