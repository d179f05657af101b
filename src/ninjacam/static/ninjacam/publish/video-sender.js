// Encodes the frames of a camera to H.264, and drops what the connection cannot carry.

import { readFrames } from "./frames.js";
import { RateControl } from "./rate-control.js";
import { bytesOf, videoConfigTag, videoTag } from "./tags.js";

const MAX_BPS = 2_500_000; // for 1280 x 720; in proportion to the number of pixels
const FPS = 30;
const KEY_EVERY_MS = 2000; // how long new viewers wait at most
const MAX_ENCODING = 2; // frames that wait for the encoder
/** Constrained baseline, baseline, main and high profile, level 3.1, then 4.0 for larger frames. */
const CODECS = ["avc1.42e01f", "avc1.42001f", "avc1.4d001f", "avc1.64001f", "avc1.42e028", "avc1.4d0028", "avc1.640028"];

/**
 * @param {number} width
 * @param {number} height
 * @param {number} bitrate
 * @returns {Promise<VideoEncoderConfig | null>} null: the browser does not encode H.264
 */
async function chooseConfig(width, height, bitrate) {
  if (typeof VideoEncoder === "undefined") return null;
  for (const codec of CODECS) {
    /** @type {VideoEncoderConfig} */
    const config = { codec, width, height, bitrate, framerate: FPS, latencyMode: "realtime", avc: { format: "avc" } };
    try {
      if ((await VideoEncoder.isConfigSupported(config)).supported) return config;
    } catch {
      // Browsers throw for parameters that they do not know.
    }
  }
  return null;
}

/** @returns {Promise<boolean>} */
export async function canEncode() {
  return (await chooseConfig(1280, 720, MAX_BPS)) !== null;
}

export class VideoSender {
  #connection;
  /** @type {VideoEncoder | null} */
  #encoder = null;
  /** @type {VideoEncoderConfig | null} */
  #config = null;
  #rate = new RateControl(MAX_BPS);
  /** @type {Uint8Array | null} */
  #avcC = null;
  #isConfigSent = false;
  #isConfiguring = false;
  #needsKey = true;
  #keyMs = -Infinity;
  #lastMs = 0;
  #frames = 0;
  #stopReading = () => {};
  /** The encoder has failed. */
  onerror = () => {};

  /** @param {import("./connection.js").PublisherConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  get bitrateBps() {
    return this.#rate.bitrateBps;
  }

  get size() {
    return { width: this.#config?.width ?? 0, height: this.#config?.height ?? 0 };
  }

  /** @returns {number} the number of frames since the last call */
  takeCount() {
    const count = this.#frames;
    this.#frames = 0;
    return count;
  }

  /** The connection is new: begin with the description and a key frame. */
  restart() {
    this.#isConfigSent = false;
    this.#needsKey = true;
    this.#keyMs = -Infinity;
  }

  /**
   * Send the frames of this track from now on.
   * @param {MediaStreamTrack} track
   * @param {HTMLVideoElement} video which shows it
   */
  read(track, video) {
    this.#stopReading();
    this.#stopReading = readFrames(track, video, (frame, capturedMs) => this.#own(frame, capturedMs));
  }

  /**
   * @param {VideoFrame} frame
   * @param {number} capturedMs on the clock of performance.now()
   */
  #own(frame, capturedMs) {
    try {
      this.#take(frame, capturedMs);
    } finally {
      frame.close();
    }
  }

  /**
   * @param {VideoFrame} frame
   * @param {number} capturedMs
   */
  #take(frame, capturedMs) {
    // Encoders take even sizes only.
    const width = frame.displayWidth & ~1;
    const height = frame.displayHeight & ~1;
    if (!this.#config || this.#config.width !== width || this.#config.height !== height) {
      void this.#configure(width, height);
      return;
    }
    const encoder = this.#encoder;
    if (!encoder || encoder.state !== "configured" || !this.#connection.isReady) return;
    const wasDropping = this.#rate.isDropping;
    if (this.#rate.update(this.#connection.queuedBytes, performance.now())) {
      this.#config.bitrate = this.#rate.bitrateBps;
      encoder.configure(this.#config);
    }
    if (this.#rate.isDropping) {
      this.#needsKey = true;
      this.#keyMs = -Infinity;
      return;
    }
    if (encoder.encodeQueueSize > MAX_ENCODING && !wasDropping) return;
    this.#lastMs = Math.max(this.#lastMs + 1, Math.round(capturedMs));
    const keyFrame = this.#lastMs - this.#keyMs >= KEY_EVERY_MS;
    if (keyFrame) this.#keyMs = this.#lastMs;
    const timed = new VideoFrame(frame, { timestamp: this.#lastMs * 1000 });
    encoder.encode(timed, { keyFrame });
    timed.close();
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  async #configure(width, height) {
    if (this.#isConfiguring) return;
    this.#isConfiguring = true;
    const maxBps = Math.max(400_000, (MAX_BPS * width * height) / (1280 * 720));
    const config = await chooseConfig(width, height, maxBps);
    this.#isConfiguring = false;
    if (!config) {
      this.onerror();
      return;
    }
    this.#closeEncoder();
    this.#rate = new RateControl(maxBps);
    this.#config = config;
    this.restart();
    /** @type {VideoEncoder} */
    const encoder = new VideoEncoder({
      output: (chunk, metadata) => encoder === this.#encoder && this.#send(chunk, metadata),
      error: () => encoder === this.#encoder && this.onerror(),
    });
    encoder.configure(config);
    this.#encoder = encoder;
  }

  /**
   * @param {EncodedVideoChunk} chunk
   * @param {EncodedVideoChunkMetadata} [metadata]
   */
  #send(chunk, metadata) {
    const description = metadata?.decoderConfig?.description;
    if (description) {
      this.#avcC = bytesOf(description).slice();
      this.#isConfigSent = false;
    }
    if (!this.#connection.isReady || !this.#avcC || (this.#needsKey && chunk.type !== "key")) return;
    if (!this.#isConfigSent) this.#connection.send(videoConfigTag(this.#avcC));
    this.#isConfigSent = true;
    this.#needsKey = false;
    this.#frames += 1;
    this.#connection.send(videoTag(chunk));
  }

  close() {
    this.#stopReading();
    this.#stopReading = () => {};
    this.#closeEncoder();
  }

  #closeEncoder() {
    const encoder = this.#encoder;
    this.#encoder = this.#config = this.#avcC = null;
    if (encoder && encoder.state !== "closed") encoder.close();
  }
}
