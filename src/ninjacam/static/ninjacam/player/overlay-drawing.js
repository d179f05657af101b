// Draws annotations on a canvas. No state and no network. vision/drawing.py draws them into images in the same style.

/** @typedef {import("./annotations.js").Annotation} Annotation */
/** @typedef {import("./annotations.js").Pair} Pair */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Rect in CSS pixels */

/**
 * @typedef {object} Place
 * @property {Size} box the canvas, in CSS pixels
 * @property {Rect} video its rectangle on the canvas, which it exceeds with `fit="cover"`
 * @property {number} density device pixels per CSS pixel
 */

/** @typedef {{ x: number, y: number }} Position on the canvas, in CSS pixels */

/**
 * @typedef {object} Shape
 * @property {Path2D} lines
 * @property {Path2D} dots filled
 * @property {Path2D} area filled with a translucent colour
 * @property {Path2D} trail a thin line
 * @property {Rect} bounds
 * @property {Annotation} annotation
 * @property {string} color
 */

const LINE_PX = 2;
const DOT_PX = 4; // radius
const AREA_OPACITY = 0.4;
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
  /** @param {Pair} at @returns {Position} */
  const locate = ([x, y]) => ({
    x: snap(video.left + x * (video.right - video.left)),
    y: snap(video.top + y * (video.bottom - video.top)),
  });
  const { type, trail = [] } = annotation;
  const points = annotation.points.map((each) => each && locate(each));
  const visible = points.filter((each) => each !== null);
  if (type === "box" || type === "mask") visible.length = 2;
  const bounds = boundsOf(visible);
  const [lines, dots, area] = [new Path2D(), new Path2D(), new Path2D()];
  if (type === "box") lines.rect(bounds.left, bounds.top, bounds.right - bounds.left, bounds.bottom - bounds.top);
  else if (type === "line" || type === "polygon") addLine(lines, visible);
  else if (type === "keypoints") addEdges(lines, points, annotation.edges ?? []);
  else if (type === "mask") addCells(area, annotation, locate);
  if (type === "polygon") lines.closePath();
  if (type === "point" || type === "keypoints") addDots(dots, visible);
  const thin = new Path2D();
  const center = { x: (bounds.left + bounds.right) / 2, y: (bounds.top + bounds.bottom) / 2 };
  if (trail.length) addLine(thin, [...trail.map(locate), center]);
  return { lines, dots, area, trail: thin, bounds, annotation, color: colorOf(pen, annotation, view) };
}

/** @param {Position[]} points @returns {Rect} */
function boundsOf(points) {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** @param {Path2D} path @param {Position[]} points */
function addLine(path, points) {
  for (const { x, y } of points) path.lineTo(x, y);
}

/** @param {Path2D} path @param {Position[]} points */
function addDots(path, points) {
  for (const { x, y } of points) {
    path.moveTo(x + DOT_PX, y);
    path.arc(x, y, DOT_PX, 0, 2 * Math.PI);
  }
}

/**
 * @param {Path2D} path
 * @param {(Position | null)[]} points
 * @param {Pair[]} edges
 */
function addEdges(path, points, edges) {
  for (const [from, to] of edges) {
    const [start, end] = [points[from], points[to]];
    if (!start || !end) continue;
    path.moveTo(start.x, start.y);
    path.lineTo(end.x, end.y);
  }
}

/**
 * Add the cells of a mask. Their edges lie on whole device pixels, so that no seams are visible between them.
 * @param {Path2D} path
 * @param {Annotation} mask
 * @param {(at: Pair) => Position} locate
 */
function addCells(path, { points, size = [0, 0], runs = [] }, locate) {
  const [[left, top], [right, bottom]] = /** @type {[Pair, Pair]} */ (points);
  const [columns, rows] = size;
  /** @param {number} column @param {number} row */
  const corner = (column, row) => locate([left + ((right - left) * column) / columns, top + ((bottom - top) * row) / rows]);
  let cell = 0;
  runs.forEach((run, index) => {
    const end = cell + run;
    while (cell < end) {
      const row = Math.floor(cell / columns);
      const rowEnd = Math.min(end, (row + 1) * columns);
      if (index % 2) {
        const from = corner(cell - row * columns, row);
        const to = corner(rowEnd - row * columns, row + 1);
        path.rect(from.x, from.y, to.x - from.x, to.y - from.y);
      }
      cell = rowEnd;
    }
  });
}

/**
 * Return the annotation's own colour, or one derived from its track, or else from its label.
 * @param {CanvasRenderingContext2D} pen
 * @param {Annotation} annotation
 * @param {string} view
 * @returns {string} "#rrggbb", unless the annotation's own colour is translucent
 */
function colorOf(pen, { label, color, track }, view) {
  let hue = 0;
  if (Number.isInteger(track)) hue = ((Number(track) % 360) * 137) % 360; // consecutive tracks have distant hues
  else for (const letter of String(label ?? view)) hue = (hue * 31 + Number(letter.codePointAt(0))) % 360;
  pen.fillStyle = `hsl(${hue} 90% 60%)`;
  if (color) pen.fillStyle = String(color); // invalid colors are ignored
  return String(pen.fillStyle);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Shape} shape
 * @param {number} density
 */
function drawShape(pen, { lines, dots, area, trail, color }, density) {
  const linePx = (LINE_PX * Math.max(1, Math.round(density))) / density; // a whole number of device pixels, so that lines are crisp
  pen.strokeStyle = pen.fillStyle = color;
  pen.globalAlpha = AREA_OPACITY;
  pen.fill(area);
  pen.globalAlpha = 1;
  pen.lineWidth = linePx / 2;
  pen.stroke(trail);
  pen.strokeStyle = OUTLINE;
  pen.lineWidth = linePx * 2;
  pen.stroke(lines);
  pen.stroke(dots);
  pen.strokeStyle = color;
  pen.lineWidth = linePx;
  pen.stroke(lines);
  pen.fill(dots);
}

/**
 * Draw the label on a strip above the shape or beside the point, within the visible part of the video.
 * @param {CanvasRenderingContext2D} pen
 * @param {Shape} shape
 * @param {Rect} visible
 */
function drawLabel(pen, { bounds, annotation: { type, label, score, track }, color }, visible) {
  const words = [String(label ?? "").slice(0, MAX_LETTERS)];
  if (Number.isInteger(track)) words.push(`#${track}`);
  if (typeof score === "number") words.push(`${Math.round(score * 100)}%`);
  const text = words.join(" ").trim();
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
