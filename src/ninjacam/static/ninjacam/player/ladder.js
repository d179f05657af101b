// The ways in which this browser can play video, best first.

import { mediaSourceClass, mimeType } from "./mse.js";

/**
 * @typedef {object} Rung
 * @property {"webcodecs" | "mse" | "mjpeg"} name
 * @property {"annexb" | "fmp4" | null} format the format to request from the server; null: HTTP, no WebSocket
 * @property {string[]} codecs the codecs to announce to the server
 */

// One level above that of every camera: browsers check the profile now, and refuse frames that are too large later.
const H264 = "avc1.64001f";
const HEVC = "hvc1.1.6.L120.90";

/** @type {Promise<Rung[]> | null} */
let known = null;

/**
 * @param {string} [only] the name of the only rung to use
 * @returns {Promise<Rung[]>}
 */
export async function ladder(only = "") {
  known ??= probe();
  return (await known).filter((rung) => !only || rung.name === only);
}

/** @returns {Promise<Rung[]>} */
async function probe() {
  /** @type {Rung[]} */
  const rungs = [];
  if (isSecureContext && "VideoDecoder" in globalThis) {
    const codecs = await decodable();
    if (codecs.includes("h264")) rungs.push({ name: "webcodecs", format: "annexb", codecs: [...codecs, "mjpeg"] });
  }
  const Media = mediaSourceClass();
  if (Media?.isTypeSupported(mimeType(H264))) {
    const codecs = Media.isTypeSupported(mimeType(HEVC)) ? ["h264", "hevc"] : ["h264"];
    rungs.push({ name: "mse", format: "fmp4", codecs: [...codecs, "mjpeg"] });
  }
  rungs.push({ name: "mjpeg", format: null, codecs: ["mjpeg"] });
  return rungs;
}

async function decodable() {
  const supported = await Promise.all([H264, HEVC].map(isDecodable));
  return ["h264", "hevc"].filter((_, index) => supported[index]);
}

/** @param {string} codec */
async function isDecodable(codec) {
  try {
    return (await VideoDecoder.isConfigSupported({ codec, optimizeForLatency: true })).supported === true;
  } catch {
    return false;
  }
}
