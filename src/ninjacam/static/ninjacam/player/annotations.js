// Annotations that processors return for frames (boxes, lines, masks, texts, ...), and the choice of those for a displayed frame.
// Not here: where they come from (live-annotations.js, recorded-annotations.js), and how they are drawn (overlay-drawing.js).

/**
 * Untrusted, because processors may copy it from anywhere: texts are drawn on a canvas, never inserted as HTML.
 * @typedef {object} Annotation
 * @property {"box" | "point" | "line" | "polygon" | "keypoints" | "mask" | "text"} type
 * @property {(Pair | null)[]} points as fractions of the frame's width and height; for a box or a mask, two opposite
 *   corners; null: a keypoint that is not drawn
 * @property {Pair[]} [edges] of keypoints: pairs of indices of points
 * @property {Pair} [size] of a mask: its columns and rows
 * @property {number[]} [runs] of a mask: lengths of runs of cells, row by row, alternately outside and inside
 * @property {Pair[]} [trail] earlier positions, oldest first
 * @property {string} [label]
 * @property {number} [score]
 * @property {string} [color] as in CSS
 * @property {number} [track] the number of an object, which it keeps from frame to frame
 */

/** @typedef {[number, number]} Pair */

/** @typedef {{ capturedUs: number, annotations: Annotation[] }} Annotated the annotations of one view for one frame */

/**
 * A source of annotations: the live stream, or recordings.
 * @typedef {object} AnnotationSource
 * @property {(views: string[]) => void} watch replace the watched views
 * @property {(capturedUs: number) => void} show the capture time of the frame displayed now or next; 0: unknown
 * @property {(view: string, capturedUs: number) => Annotated | null} find the annotations of this frame
 * @property {() => void} close
 */

export const TOLERANCE_MS = 5; // a video element rounds a frame's time
export const VALID_MS = 1_000; // annotations of a frame also apply to later frames, up to this age
const MAX_POINTS = 10_000;
const MAX_CELLS = 1_000; // on each side of a mask
const MIN_POINTS = { box: 2, point: 1, line: 2, polygon: 2, keypoints: 1, mask: 2, text: 1 };

/**
 * Return the annotations that can be drawn.
 * @param {unknown} list
 * @returns {Annotation[]}
 */
export function readAnnotations(list) {
  return Array.isArray(list) ? list.filter(isDrawable) : [];
}

/** @param {any} value */
function isDrawable(value) {
  const least = Object.hasOwn(MIN_POINTS, value?.type) && MIN_POINTS[/** @type {Annotation["type"]} */ (value.type)];
  if (!least || !isList(value.points)) return false;
  const isKeypoints = value.type === "keypoints";
  const points = isKeypoints ? value.points.filter((/** @type {unknown} */ each) => each !== null) : value.points;
  if (points.length < least || !points.every(isPair)) return false;
  if (value.trail !== undefined && !(isList(value.trail) && value.trail.every(isPair))) return false;
  if (isKeypoints) return isList(value.edges) && value.edges.every(isPair);
  return value.type !== "mask" || isMask(value);
}

/** @param {unknown} value */
function isList(value) {
  return Array.isArray(value) && value.length <= MAX_POINTS;
}

/** @param {unknown} value */
function isPair(value) {
  return Array.isArray(value) && Number.isFinite(value[0]) && Number.isFinite(value[1]);
}

/** @param {any} value */
function isMask({ size, runs }) {
  const isCount = (/** @type {unknown} */ each) => Number.isInteger(each) && Number(each) >= 0;
  if (!isPair(size) || !isList(runs) || !runs.every(isCount)) return false;
  const [columns, rows] = size;
  const cells = runs.reduce((/** @type {number} */ sum, /** @type {number} */ run) => sum + run, 0);
  return [columns, rows].every((each) => isCount(each) && each <= MAX_CELLS) && cells <= columns * rows;
}

/**
 * Return the newest one that does not belong to a later frame; null: none is still valid.
 * @param {Annotated[]} known in any order
 * @param {number} capturedUs
 * @returns {Annotated | null}
 */
export function findNewest(known, capturedUs) {
  /** @type {Annotated | null} */
  let newest = null;
  for (const each of known) {
    if (each.capturedUs <= capturedUs + TOLERANCE_MS * 1000 && each.capturedUs >= (newest?.capturedUs ?? 0)) newest = each;
  }
  return newest && capturedUs - newest.capturedUs <= VALID_MS * 1000 ? newest : null;
}
