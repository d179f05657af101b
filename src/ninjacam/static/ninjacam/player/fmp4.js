// Giving fragments times of our own, one after the other without a gap.
// A lost picture makes a gap in the camera's times, and over a gap MSE throws everything away up to the next key frame.

const DATA_OFFSET = 0x01; // trun: a data offset precedes the samples
const FIRST_SAMPLE_FLAGS = 0x04;
const SAMPLE_DURATION = 0x100;

/**
 * Set the decode time of the fragment in `payload` (behind an init segment, if there is one), in place.
 * @param {Uint8Array<ArrayBuffer>} payload
 * @param {number} decodeTime in ticks of the track
 * @returns {number} how long its picture lasts, in ticks; 0 where it does not say
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
 * The boxes side by side within `span`; ends at the first that is not whole.
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
 * The first box of that kind within `span`.
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
