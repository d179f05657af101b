// The header of a binary media message, as the server's live socket packs it: 36 bytes, little-endian.

export const HEADER_BYTES = 36;
const VERSION = 1;
const KEY = 1;
const CONFIG = 2;
const DISCONT = 4;

/**
 * One encoded frame. `capturedUs`: the server's wall clock, 0 if unknown. `payload` is a view, not a copy.
 * @typedef {object} MediaFrame
 * @property {boolean} key a decoder can start here
 * @property {boolean} config fmp4: an init segment precedes the fragment in the payload
 * @property {boolean} discont frames before it are missing, or the time jumped
 * @property {number} stream
 * @property {number} sequence
 * @property {number} ptsUs
 * @property {number} capturedUs
 * @property {number} durationUs
 * @property {number} width
 * @property {number} height
 * @property {Uint8Array<ArrayBuffer>} payload
 */

/**
 * @param {ArrayBuffer} buffer
 * @returns {MediaFrame | null} null: too short, or of an unknown version
 */
export function parseFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) return null;
  const view = new DataView(buffer);
  if (view.getUint8(0) !== VERSION) return null;
  const flags = view.getUint8(1);
  return {
    key: (flags & KEY) !== 0,
    config: (flags & CONFIG) !== 0,
    discont: (flags & DISCONT) !== 0,
    stream: view.getUint16(2, true),
    sequence: view.getUint32(4, true),
    ptsUs: int64(view, 8),
    capturedUs: int64(view, 16),
    durationUs: view.getUint32(24, true),
    width: view.getUint16(28, true),
    height: view.getUint16(30, true),
    payload: new Uint8Array(buffer, HEADER_BYTES),
  };
}

/**
 * A signed 64-bit integer as a number: exact up to 2^53 µs, the year 2255.
 * @param {DataView} view
 * @param {number} offset
 */
function int64(view, offset) {
  return view.getInt32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true);
}
