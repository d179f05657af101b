// Reads the frames of fragmented MP4 (ISO/IEC 14496-12) with one track of H.264, as MediaRecorder makes it.

import { boxes, child, kindAt } from "../player/fmp4.js";

const MAX_BOX_BYTES = 1 << 24;
const NON_SYNC = 0x10000;

/** @typedef {{ dtsMs: number, offsetMs: number, isKey: boolean, data: Uint8Array }} RecordedFrame */

export class FragmentReader {
  /** The AVCDecoderConfigurationRecord. @type {Uint8Array | null} */
  avcC = null;
  #rest = new Uint8Array(0);
  #timescale = 1000;
  #defaults = { duration: 0, size: 0, flags: 0 };
  /** @type {{ size: number, dts: number, offset: number, isKey: boolean }[]} of the last moof */
  #samples = [];

  /**
   * @param {Uint8Array} bytes which follow those of the last call
   * @returns {RecordedFrame[]}
   * @throws {Error} for anything else than such a file
   */
  feed(bytes) {
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    const view = new DataView(all.buffer);
    const frames = [];
    let at = 0;
    while (all.length - at >= 16) {
      const isLarge = view.getUint32(at) === 1;
      const start = at + (isLarge ? 16 : 8);
      const end = at + (isLarge ? Number(view.getBigUint64(at + 8)) : view.getUint32(at));
      if (end < start || end - at > MAX_BOX_BYTES) throw new Error("This is not a fragmented MP4 file.");
      if (end > all.length) break;
      const kind = kindAt(view, at + 4);
      if (kind === "moov") this.#readHeader(view, { start, end });
      else if (kind === "moof") this.#readFragment(view, { start, end });
      else if (kind === "mdat") frames.push(...this.#take(all.subarray(start, end)));
      at = end;
    }
    this.#rest = all.slice(at);
    return frames;
  }

  /**
   * @param {DataView} view
   * @param {import("../player/fmp4.js").Span} moov
   */
  #readHeader(view, moov) {
    const mdia = find(view, moov, "trak", "mdia");
    const mdhd = find(view, mdia, "mdhd").start;
    this.#timescale = view.getUint32(mdhd + (view.getUint8(mdhd) === 1 ? 20 : 12)) || 1000;
    const stsd = find(view, mdia, "minf", "stbl", "stsd");
    const [entry] = boxes(view, { start: stsd.start + 8, end: stsd.end });
    const avcC = find(view, { start: entry.start + 78, end: entry.end }, "avcC");
    this.avcC = new Uint8Array(view.buffer.slice(avcC.start, avcC.end));
    const trex = find(view, moov, "mvex", "trex").start;
    const [duration, size, flags] = [12, 16, 20].map((offset) => view.getUint32(trex + offset));
    this.#defaults = { duration, size, flags };
  }

  /**
   * @param {DataView} view
   * @param {import("../player/fmp4.js").Span} moof
   */
  #readFragment(view, moof) {
    const traf = find(view, moof, "traf");
    const tfdt = find(view, traf, "tfdt").start;
    const defaults = this.#defaultsOf(view, find(view, traf, "tfhd").start);
    let dts = view.getUint8(tfdt) === 1 ? Number(view.getBigUint64(tfdt + 4)) : view.getUint32(tfdt + 4);
    this.#samples = [];
    for (const { kind, start, end } of boxes(view, traf)) {
      if (kind !== "trun") continue;
      const flags = view.getUint32(start) & 0xffffff;
      let at = start + 8 + (flags & 1 ? 4 : 0);
      const firstFlags = flags & 4 ? view.getUint32(at) : null;
      if (firstFlags !== null) at += 4;
      for (let left = view.getUint32(start + 4); left > 0; left -= 1) {
        /** @param {number} bit @param {number} value */
        const next = (bit, value) => (flags & bit ? view.getUint32((at += 4) - 4) : value);
        const duration = next(0x100, defaults.duration);
        const size = next(0x200, defaults.size);
        const isFirst = this.#samples.length === 0 && firstFlags !== null;
        const sampleFlags = next(0x400, isFirst ? firstFlags : defaults.flags);
        const offset = next(0x800, 0) | 0;
        if (at > end) throw new Error("This is not a fragmented MP4 file.");
        this.#samples.push({ size, dts, offset, isKey: (sampleFlags & NON_SYNC) === 0 });
        dts += duration;
      }
    }
  }

  /**
   * @param {DataView} view
   * @param {number} tfhd
   */
  #defaultsOf(view, tfhd) {
    const flags = view.getUint32(tfhd) & 0xffffff;
    let at = tfhd + 8 + (flags & 1 ? 8 : 0) + (flags & 2 ? 4 : 0);
    /** @param {number} bit @param {number} value */
    const next = (bit, value) => (flags & bit ? view.getUint32((at += 4) - 4) : value);
    const { duration, size, flags: sampleFlags } = this.#defaults;
    return { duration: next(8, duration), size: next(16, size), flags: next(32, sampleFlags) };
  }

  /**
   * The samples of one track follow each other in the mdat.
   * @param {Uint8Array} mdat
   */
  #take(mdat) {
    let at = 0;
    const msPerTick = 1000 / this.#timescale;
    const frames = this.#samples.map(({ size, dts, offset, isKey }) => {
      const data = mdat.slice(at, (at += size));
      return { dtsMs: dts * msPerTick, offsetMs: offset * msPerTick, isKey, data };
    });
    if (at > mdat.length) throw new Error("This is not a fragmented MP4 file.");
    this.#samples = [];
    return frames;
  }
}

/**
 * @param {DataView} view
 * @param {import("../player/fmp4.js").Span} span
 * @param {string[]} kinds the path to the box
 */
function find(view, span, ...kinds) {
  for (const kind of kinds) {
    const found = child(view, span, kind);
    if (!found) throw new Error("This is not a fragmented MP4 file.");
    span = found;
  }
  return span;
}
