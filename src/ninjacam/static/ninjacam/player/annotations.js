// Annotations that processors return for frames (boxes, points, polygons, texts), and the choice of those for a displayed frame.
// Not here: where they come from (live-annotations.js, recorded-annotations.js), and how they are drawn (overlay-drawing.js).

/**
 * Untrusted, because processors may copy it from anywhere: texts are drawn on a canvas, never inserted as HTML.
 * @typedef {object} Annotation
 * @property {"box" | "point" | "polygon" | "text"} type
 * @property {[number, number][]} points as fractions of the frame's width and height; for a box, two opposite corners
 * @property {string} [label]
 * @property {number} [score]
 * @property {string} [color] as in CSS
 */

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
const MIN_POINTS = { box: 2, point: 1, polygon: 2, text: 1 };

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
  const points = least && Array.isArray(value.points) ? value.points : [];
  return least && points.length >= least && points.length <= MAX_POINTS && points.every(isPoint);
}

/** @param {unknown} value */
function isPoint(value) {
  return Array.isArray(value) && Number.isFinite(value[0]) && Number.isFinite(value[1]);
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
