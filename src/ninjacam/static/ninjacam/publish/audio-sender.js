// Encodes the microphone: AAC where the browser can, else G.711, which needs no encoder. Recordings keep both.

import { aacConfigTag, aacTag, bytesOf, g711Tag } from "./tags.js";

const AAC = { codec: "mp4a.40.2", sampleRate: 48_000, numberOfChannels: 1, bitrate: 64_000 };
const AAC_FRAME = 1024;
const G711_HZ = 8000;
const G711_FRAME = 320; // 40 ms
const RESYNC_MS = 150; // largest difference between the number of samples and the clock

async function canEncodeAac() {
  if (typeof AudioEncoder === "undefined" || typeof AudioData === "undefined") return false;
  return AudioEncoder.isConfigSupported(AAC).then(({ supported }) => Boolean(supported), () => false);
}

/**
 * ITU-T G.711, mu-law.
 * @param {number} sample from -1 to 1
 */
export function encodeMuLaw(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const magnitude = Math.min(32_635, Math.round(Math.abs(sample) * 32_767)) + 132;
  const exponent = 31 - Math.clz32(magnitude) - 7;
  return ~(sign | (exponent << 4) | ((magnitude >> (exponent + 3)) & 0x0f)) & 0xff;
}

export class AudioSender {
  #connection;
  /** @type {AudioContext | null} */
  #context = null;
  /** @type {AudioEncoder | null} */
  #encoder = null;
  /** @type {Uint8Array | null} */
  #config = null;
  #isConfigSent = false;
  #nextMs = 0;

  /** @param {import("./connection.js").PublisherConnection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** The connection is new. */
  restart() {
    this.#isConfigSent = false;
  }

  /**
   * @param {MediaStreamTrack} track
   * @param {string} workletUrl
   */
  async start(track, workletUrl) {
    const isAac = await canEncodeAac();
    const context = new AudioContext({ sampleRate: isAac ? AAC.sampleRate : G711_HZ });
    this.#context = context;
    await context.audioWorklet.addModule(workletUrl);
    const node = new AudioWorkletNode(context, "ninjacam-collector", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { size: isAac ? AAC_FRAME : G711_FRAME },
    });
    node.port.onmessage = ({ data }) => this.#take(data);
    // Its output is silent, but browsers do not run a node whose output leads nowhere.
    context.createMediaStreamSource(new MediaStream([track])).connect(node).connect(context.destination);
    if (isAac) this.#encoder = this.#makeEncoder();
    await context.resume();
  }

  #makeEncoder() {
    const encoder = new AudioEncoder({
      output: (chunk, metadata) => {
        const description = metadata?.decoderConfig?.description;
        if (description) this.#config = bytesOf(description).slice();
        if (!this.#config) return;
        if (!this.#isConfigSent) this.#connection.send(aacConfigTag(this.#config));
        this.#isConfigSent = this.#connection.isReady;
        this.#connection.send(aacTag(chunk));
      },
      error: () => this.close(),
    });
    encoder.configure(AAC);
    return encoder;
  }

  /** @param {Float32Array<ArrayBuffer>} samples */
  #take(samples) {
    const rateHz = this.#encoder ? AAC.sampleRate : G711_HZ;
    const durationMs = (samples.length * 1000) / rateHz;
    const startMs = performance.now() - durationMs;
    if (Math.abs(startMs - this.#nextMs) > RESYNC_MS) this.#nextMs = startMs;
    const timestampMs = this.#nextMs;
    this.#nextMs += durationMs;
    if (!this.#connection.isReady) return;
    if (!this.#encoder) {
      this.#connection.send(g711Tag(timestampMs, Uint8Array.from(samples, encodeMuLaw)));
      return;
    }
    const data = new AudioData({
      format: "f32-planar",
      sampleRate: rateHz,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp: Math.round(timestampMs * 1000),
      data: samples,
    });
    this.#encoder.encode(data);
    data.close();
  }

  close() {
    void this.#context?.close().catch(() => {});
    this.#context = null;
    if (this.#encoder && this.#encoder.state !== "closed") this.#encoder.close();
    this.#encoder = this.#config = null;
  }
}
