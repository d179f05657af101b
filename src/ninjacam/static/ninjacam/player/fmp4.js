// Rewrites the decode times of fragments so that they follow each other without a gap.
// A lost frame leaves a gap in the camera's times, and after a gap MSE discards everything up to the next key frame.

const DATA_OFFSET = 0x01; // trun: a data offset precedes the samples
const FIRST_SAMPLE_FLAGS = 0x04;
const SAMPLE_DURATION = 0x100;

/**
 * Set the decode time of the fragment in `payload` (behind an init segment, if there is one), in place.
 * @param {Uint8Array<ArrayBuffer>} payload
 * @param {number} decodeTime in ticks of the track
 * @returns {number} the duration of its frame in ticks; 0 if it is not specified
 */
export function retime(payload, decodeTime) {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const moof = child(view, { start: 0, end: view.byteLength }, "moof");
  const traf = moof && child(view, moof, "traf");
  const tfdt = traf && child(view, traf, "tfdt");
  const trun = traf && child(view, traf, "trun");
  if (!tfdt || !trun) return 0;
  if (view.getUint8(tfdt.start) === 1) view.setBigUint64(tfdt.start + 4, BigInt(decodeTime));
  else view.setUint32(tfdt.start + 4, decodeTime);
  const flags = view.getUint32(trun.start) & 0xffffff;
  if (!(flags & SAMPLE_DURATION)) return 0;
  const skipped = (flags & DATA_OFFSET ? 4 : 0) + (flags & FIRST_SAMPLE_FLAGS ? 4 : 0);
  return view.getUint32(trun.start + 8 + skipped);
}

/** @typedef {{ start: number, end: number }} Span a box without its header */

/**
 * Yield the sibling boxes in `span`, up to the first incomplete one.
 * @param {DataView} view
 * @param {Span} span
 * @returns {Generator<Span & { kind: string }>}
 */
export function* boxes(view, span) {
  for (let at = span.start; at + 8 <= span.end; ) {
    const end = at + view.getUint32(at);
    if (end < at + 8 || end > span.end) return;
    yield { kind: kindAt(view, at + 4), start: at + 8, end };
    at = end;
  }
}

/**
 * Return the first box of this kind in `span`.
 * @param {DataView} view
 * @param {Span} span
 * @param {string} kind
 * @returns {Span | null}
 */
export function child(view, span, kind) {
  for (const box of boxes(view, span)) if (box.kind === kind) return box;
  return null;
}

/**
 * @param {DataView} view
 * @param {number} at
 */
export function kindAt(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}
