// Points of shapes as fractions of the image: text, rounding, insertion. No DOM.

/** @typedef {[number, number]} Point x and y, from 0 to 1 */

const SCALE = 1e5; // as many decimal places as the server keeps

/**
 * Return the points of a text such as "0.1,0.2 0.9,0.2"; null if it cannot be read.
 *
 * @param {string} text
 * @returns {Point[] | null}
 */
export function parsePoints(text) {
  /** @type {Point[]} */
  const points = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const [x = "", y = "", ...rest] = word.split(",");
    if (!x || !y || rest.length || !isFraction(Number(x)) || !isFraction(Number(y))) return null;
    points.push([Number(x), Number(y)]);
  }
  return points;
}

/** @param {number} value */
function isFraction(value) {
  return value >= 0 && value <= 1;
}

/** @param {Point[]} points */
export function formatPoints(points) {
  return points.map((point) => point.join(",")).join(" ");
}

/**
 * Return the nearest point of the image.
 *
 * @param {number} x
 * @param {number} y
 * @returns {Point}
 */
export function pointAt(x, y) {
  return [onImage(x), onImage(y)];
}

/** @param {number} value */
function onImage(value) {
  return Math.round(Math.min(1, Math.max(0, value)) * SCALE) / SCALE;
}

/**
 * Move all points by the same distance, and not beyond the image.
 *
 * @param {Point[]} points
 * @param {number} dx
 * @param {number} dy
 * @returns {Point[]}
 */
export function moveAll(points, dx, dy) {
  const x = within(points.map((point) => point[0]), dx);
  const y = within(points.map((point) => point[1]), dy);
  return points.map((point) => pointAt(point[0] + x, point[1] + y));
}

/**
 * @param {number[]} values
 * @param {number} change
 */
function within(values, change) {
  return Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), change));
}

/**
 * Return the points with another one halfway to the next. The last point of a line has no next one: it is halfway back.
 *
 * @param {Point[]} points
 * @param {number} index
 * @param {boolean} isClosed
 * @returns {{ points: Point[], index: number }} with the index of the new point
 */
export function addMiddle(points, index, isClosed) {
  const first = !isClosed && index === points.length - 1 ? index - 1 : index;
  const a = /** @type {Point} */ (points[first]);
  const b = /** @type {Point} */ (points[(first + 1) % points.length]);
  const middle = pointAt((a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
  return { points: points.toSpliced(first + 1, 0, middle), index: first + 1 };
}
