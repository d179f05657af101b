// For browsers without WebCodecs: MediaRecorder encodes, and the frames of its MP4 fragments are sent. A fragment is
// complete with its last frame, so the delay is about a second, and the bitrate is fixed.

import { FragmentReader } from "./fragment-reader.js";
import { frameTag, videoConfigTag } from "./tags.js";

const BPS = 1_500_000;
const SLICE_MS = 100;
const KEY_EVERY_MS = 1000;
const DROP_MS = 1500; // waiting data: skip frames up to the next key frame
const TYPES = ["video/mp4;codecs=avc1.42E01F", "video/mp4;codecs=avc1"];

const typeOf = () =>
  typeof MediaRecorder === "undefined" ? undefined : TYPES.find((type) => MediaRecorder.isTypeSupported(type));

export const canRecord = () => typeOf() !== undefined;

/** As VideoSender. */
export class RecorderSender {
  bitrateBps = BPS;
  onerror = () => {};
  #connection;
  /** @type {MediaRecorder | null} */
  #recorder = null;
  /** @type {MediaStreamTrack | null} */
  #track = null;
  #needsKey = true;
  #isConfigSent = false;
  #frames = 0;

  /** @param {import("./connection.js").PublisherConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  get size() {
    const { width = 0, height = 0 } = this.#track?.getSettings() ?? {};
    return { width, height };
  }

  takeCount() {
    const count = this.#frames;
    this.#frames = 0;
    return count;
  }

  restart() {
    this.#isConfigSent = false;
    this.#needsKey = true;
  }

  /** @param {MediaStreamTrack} track */
  read(track) {
    this.close();
    this.restart();
    this.#track = track;
    const options = { mimeType: typeOf(), videoBitsPerSecond: BPS, videoKeyFrameIntervalDuration: KEY_EVERY_MS };
    const recorder = new MediaRecorder(new MediaStream([track]), options);
    const reader = new FragmentReader();
    let startMs = performance.now();
    let taking = Promise.resolve(); // Blobs are read one after the other.
    recorder.onstart = () => (startMs = performance.now());
    recorder.onerror = () => recorder === this.#recorder && this.onerror();
    recorder.ondataavailable = ({ data }) => {
      taking = taking.then(async () => {
        const bytes = new Uint8Array(await data.arrayBuffer());
        if (recorder === this.#recorder) this.#take(reader, bytes, startMs);
      });
    };
    this.#recorder = recorder;
    recorder.start(SLICE_MS);
  }

  /**
   * @param {FragmentReader} reader
   * @param {Uint8Array} bytes
   * @param {number} startMs
   */
  #take(reader, bytes, startMs) {
    /** @type {import("./fragment-reader.js").RecordedFrame[]} */
    let frames;
    try {
      frames = reader.feed(bytes);
    } catch {
      this.onerror();
      return;
    }
    for (const { dtsMs, offsetMs, isKey, data } of frames) {
      if ((this.#connection.queuedBytes * 8000) / BPS > DROP_MS) this.#needsKey = true;
      if (!this.#connection.isReady || !reader.avcC || (this.#needsKey && !isKey)) continue;
      if (!this.#isConfigSent) this.#connection.send(videoConfigTag(reader.avcC));
      this.#isConfigSent = true;
      this.#needsKey = false;
      this.#frames += 1;
      this.#connection.send(frameTag(startMs + dtsMs, isKey, data, offsetMs));
    }
  }

  close() {
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }
}
