// Runs in the audio thread: converts the microphone's samples to 16-bit PCM at the rate that the camera takes, and posts
// them in pieces of 20 ms.

import { Resampler } from "./resampler.js";

const PIECES_PER_S = 50;
// The type checker does not know the global scope of worklets.
const { AudioWorkletProcessor, registerProcessor, sampleRate } = /** @type {any} */ (globalThis);

class TalkProcessor extends AudioWorkletProcessor {
  /** @type {Resampler | null} null: the camera is not ready */
  #resampler = null;
  #piece = new Int16Array(0);
  #filled = 0;
  #isOver = false;

  constructor() {
    super();
    this.port.onmessage = (/** @type {MessageEvent} */ { data }) => this.#begin(data.rateHz);
  }

  /** @param {number | undefined} rateHz undefined: the talk is over */
  #begin(rateHz) {
    this.#isOver = !rateHz;
    if (!rateHz) return;
    this.#resampler = new Resampler(sampleRate, rateHz);
    this.#piece = new Int16Array(Math.round(rateHz / PIECES_PER_S));
  }

  /** @param {Float32Array[][]} inputs */
  process([input]) {
    if (this.#resampler && input[0]) {
      for (const sample of this.#resampler.push(mono(input))) this.#add(sample);
    }
    return !this.#isOver;
  }

  /** @param {number} sample */
  #add(sample) {
    this.#piece[this.#filled++] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
    if (this.#filled < this.#piece.length) return;
    const full = this.#piece;
    this.port.postMessage(full.buffer, [full.buffer]);
    this.#piece = new Int16Array(this.#filled);
    this.#filled = 0;
  }
}

/** @param {Float32Array[]} channels */
function mono(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, index) => channels.reduce((sum, channel) => sum + channel[index], 0) / channels.length);
}

registerProcessor("ninjacam-talk", TalkProcessor);
