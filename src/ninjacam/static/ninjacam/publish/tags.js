// FLV tags (FLV 10.1, annex E), each with its type and timestamp before it: the messages that the server takes.

const AUDIO = 8;
const VIDEO = 9;
const KEY_FRAME = 0x17; // key frame, AVC
const OTHER_FRAME = 0x27;
const AAC = 0xaf; // AAC; the rest of the byte is fixed for it
const G711_MU_LAW = 0x82;

/**
 * @param {number} kind
 * @param {number} timestampMs
 * @param {number[]} head
 * @param {Uint8Array} data
 */
function makeTag(kind, timestampMs, head, data) {
  const tag = new Uint8Array(5 + head.length + data.length);
  new DataView(tag.buffer).setUint32(1, timestampMs >>> 0);
  tag[0] = kind;
  tag.set(head, 5);
  tag.set(data, 5 + head.length);
  return tag;
}

/** @param {EncodedVideoChunk | EncodedAudioChunk} chunk */
function dataOf(chunk) {
  const data = new Uint8Array(chunk.byteLength);
  chunk.copyTo(data);
  return data;
}

/**
 * @param {AllowSharedBufferSource} source
 * @returns {Uint8Array}
 */
export function bytesOf(source) {
  return ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength) : new Uint8Array(source);
}

/** @param {Uint8Array} avcC the AVCDecoderConfigurationRecord */
export const videoConfigTag = (avcC) => makeTag(VIDEO, 0, [KEY_FRAME, 0, 0, 0, 0], avcC);

/**
 * @param {number} timestampMs when it is decoded
 * @param {boolean} isKey
 * @param {Uint8Array} data its NAL units have their lengths before them
 * @param {number} [offsetMs] how much later it is shown
 */
export function frameTag(timestampMs, isKey, data, offsetMs = 0) {
  const offset = Math.round(offsetMs);
  const head = [isKey ? KEY_FRAME : OTHER_FRAME, 1, (offset >> 16) & 0xff, (offset >> 8) & 0xff, offset & 0xff];
  return makeTag(VIDEO, Math.round(timestampMs), head, data);
}

/** @param {EncodedVideoChunk} chunk its timestamp is ours, in microseconds */
export const videoTag = (chunk) => frameTag(chunk.timestamp / 1000, chunk.type === "key", dataOf(chunk));

/** @param {Uint8Array} config the AudioSpecificConfig */
export const aacConfigTag = (config) => makeTag(AUDIO, 0, [AAC, 0], config);

/** @param {EncodedAudioChunk} chunk */
export const aacTag = (chunk) => makeTag(AUDIO, Math.round(chunk.timestamp / 1000), [AAC, 1], dataOf(chunk));

/**
 * @param {number} timestampMs
 * @param {Uint8Array} data
 */
export const g711Tag = (timestampMs, data) => makeTag(AUDIO, Math.round(timestampMs), [G711_MU_LAW], data);
