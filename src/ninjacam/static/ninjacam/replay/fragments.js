// Parses a recorded clip as it is received: its header, then its fragments, each with its wall clock and its frames' times.
// ISO/IEC 14496-12: prft 8.16.5, tfdt 8.8.12, trun 8.8.8. Codec strings: RFC 6381; 14496-15, annex E.

import { boxes, child, kindAt } from "../player/fmp4.js";

/** @typedef {import("../player/fmp4.js").Span} Span */

/**
 * @typedef {object} Init
 * @property {"init"} kind
 * @property {Uint8Array<ArrayBuffer>} bytes
 * @property {string} codecs as in `codecs="..."`, the video's first
 * @property {boolean} sound
 */

/**
 * @typedef {object} Fragment
 * @property {"fragment"} kind
 * @property {Uint8Array<ArrayBuffer>} bytes
 * @property {number} wallMs capture time of its first frame, ms since 1970 with a fraction
 * @property {number} wallAtS time of that frame on the clip's time line
 * @property {number} startS of its video, as decoding time
 * @property {number} endS
 * @property {number[]} framesS presentation times of its frames, in order
 * @property {boolean} key a decoder can start here
 */

const NTP_EPOCH_S = 2_208_988_800;
const MAX_BOX_BYTES = 1 << 28;
const NON_SYNC = 0x10000;

export class ClipParser {
  #held = new Uint8Array(1 << 16);
  #length = 0;
  #at = 0; // offset of the next incomplete box
  #start = 0; // offset of the current header or fragment
  /** @type {{ id: number, timescale: number } | null} */
  #video = null;

  /**
   * @param {Uint8Array} chunk
   * @returns {(Init | Fragment)[]} the parts that this chunk completes
   */
  feed(chunk) {
    this.#hold(chunk);
    const whole = [];
    const view = new DataView(this.#held.buffer);
    while (this.#at + 8 <= this.#length) {
      const size = view.getUint32(this.#at);
      if (size < 8 || size > MAX_BOX_BYTES) throw new Error("The recording is damaged.");
      if (this.#at + size > this.#length) break;
      const kind = kindAt(view, this.#at + 4);
      this.#at += size;
      if (kind === "moov" || kind === "mdat") whole.push(this.#take(kind));
      else if (kind === "sidx") this.#start = this.#at;
    }
    return whole;
  }

  /** @param {Uint8Array} chunk */
  #hold(chunk) {
    if (this.#start > 0) {
      this.#held.copyWithin(0, this.#start, this.#length);
      this.#length -= this.#start;
      this.#at -= this.#start;
      this.#start = 0;
    }
    const needed = this.#length + chunk.byteLength;
    if (needed > this.#held.byteLength) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#held.byteLength));
      larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(chunk, this.#length);
    this.#length = needed;
  }

  /** @param {string} kind */
  #take(kind) {
    const bytes = this.#held.slice(this.#start, this.#at);
    this.#start = this.#at;
    const view = new DataView(bytes.buffer);
    return kind === "moov" ? this.#readInit(bytes, view) : this.#readFragment(bytes, view);
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {DataView} view
   * @returns {Init}
   */
  #readInit(bytes, view) {
    const codecs = [];
    const moov = need(child(view, all(view), "moov"));
    for (const trak of boxes(view, moov)) {
      if (trak.kind !== "trak") continue;
      const mdia = need(child(view, trak, "mdia"));
      const stsd = need(descend(view, mdia, ["minf", "stbl", "stsd"]));
      const entry = need(boxes(view, { start: stsd.start + 8, end: stsd.end }).next().value ?? null);
      const codec = codecOf(view, entry);
      if (kindAt(view, need(child(view, mdia, "hdlr")).start + 8) === "vide") {
        const id = view.getUint32(need(child(view, trak, "tkhd")).start + 12);
        this.#video = { id, timescale: view.getUint32(need(child(view, mdia, "mdhd")).start + 12) };
        codecs.unshift(codec);
      } else {
        codecs.push(codec);
      }
    }
    return { kind: "init", bytes, codecs: codecs.join(","), sound: codecs.length > 1 };
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @param {DataView} view
   * @returns {Fragment}
   */
  #readFragment(bytes, view) {
    const { id, timescale } = need(this.#video);
    const prft = need(child(view, all(view), "prft")).start;
    const wide = view.getUint8(prft) === 1;
    const seconds = view.getUint32(prft + 8);
    const sinceEpochS = (seconds < NTP_EPOCH_S ? seconds + 2 ** 32 : seconds) - NTP_EPOCH_S; // NTP era 1 begins in 2036
    const wallAt = wide ? Number(view.getBigUint64(prft + 16)) : view.getUint32(prft + 16);
    for (const traf of boxes(view, need(child(view, all(view), "moof")))) {
      if (traf.kind !== "traf" || view.getUint32(need(child(view, traf, "tfhd")).start + 4) !== id) continue;
      const run = readRun(view, traf);
      return {
        kind: "fragment",
        bytes,
        wallMs: sinceEpochS * 1000 + (view.getUint32(prft + 12) / 2 ** 32) * 1000,
        wallAtS: wallAt / timescale,
        startS: run.start / timescale,
        endS: run.end / timescale,
        framesS: run.frames.map((ticks) => ticks / timescale),
        key: run.key,
      };
    }
    throw new Error("The recording is damaged.");
  }
}

/**
 * @param {DataView} view
 * @param {Span} traf
 */
function readRun(view, traf) {
  const tfdt = need(child(view, traf, "tfdt")).start;
  const trun = need(child(view, traf, "trun")).start;
  const start = view.getUint8(tfdt) === 1 ? Number(view.getBigUint64(tfdt + 4)) : view.getUint32(tfdt + 4);
  const flags = view.getUint32(trun) & 0xffffff;
  if ((flags & 0xf00) !== 0xf00) throw new Error("The recording is not in the form that we write.");
  const row = trun + 8 + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : 0);
  const frames = [];
  let end = start;
  for (let at = row; at < row + 16 * view.getUint32(trun + 4); at += 16) {
    frames.push(end + view.getInt32(at + 12));
    end += view.getUint32(at);
  }
  return { start, end, frames: frames.sort((a, b) => a - b), key: (view.getUint32(row + 8) & NON_SYNC) === 0 };
}

/**
 * @param {DataView} view
 * @param {Span & { kind: string }} entry a sample entry
 */
function codecOf(view, entry) {
  const inside = { start: entry.start + (entry.kind === "mp4a" ? 28 : 78), end: entry.end };
  if (entry.kind === "avc1") {
    const { start } = need(child(view, inside, "avcC"));
    return `avc1.${[1, 2, 3].map((at) => hex(view.getUint8(start + at))).join("")}`;
  }
  if (entry.kind === "hvc1") return hevcCodec(view, need(child(view, inside, "hvcC")).start);
  if (entry.kind === "mp4a") return `mp4a.40.${aacObjectType(view, need(child(view, inside, "esds")))}`;
  return entry.kind;
}

/**
 * @param {DataView} view
 * @param {number} at
 */
function hevcCodec(view, at) {
  const first = view.getUint8(at + 1);
  const space = ["", "A", "B", "C"][first >> 6];
  let reversed = 0;
  for (let bit = 0; bit < 32; bit += 1) if (view.getUint32(at + 2) & (1 << bit)) reversed += 2 ** (31 - bit);
  const constraints = [6, 7, 8, 9, 10, 11].map((each) => view.getUint8(at + each));
  while (constraints.length && constraints[constraints.length - 1] === 0) constraints.pop();
  const tier = first & 0x20 ? "H" : "L";
  const parts = [`${space}${first & 31}`, reversed.toString(16), `${tier}${view.getUint8(at + 12)}`];
  return ["hvc1", ...parts, ...constraints.map((each) => each.toString(16).toUpperCase())].join(".");
}

/**
 * Return the object type of the AudioSpecificConfig: the body of the descriptor with tag 5, at the end of the esds.
 * @param {DataView} view
 * @param {Span} esds
 */
function aacObjectType(view, esds) {
  for (let at = esds.start + 4; at + 5 < esds.end; at += 1) {
    const isTag = view.getUint8(at) === 5 && view.getUint8(at + 1) === 0x80 && view.getUint8(at + 2) === 0x80;
    if (isTag) return view.getUint8(at + 5) >> 3;
  }
  return 2;
}

/**
 * @param {DataView} view
 * @param {Span} span
 * @param {string[]} kinds
 * @returns {Span | null}
 */
function descend(view, span, kinds) {
  /** @type {Span | null} */
  let found = span;
  for (const kind of kinds) found = found && child(view, found, kind);
  return found;
}

/**
 * @template T
 * @param {T | null} found
 * @returns {T}
 */
function need(found) {
  if (found === null) throw new Error("The recording is damaged.");
  return found;
}

/** @param {DataView} view */
function all(view) {
  return { start: 0, end: view.byteLength };
}

/** @param {number} byte */
function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}
