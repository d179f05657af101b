// Runs in the audio thread: collects samples, and posts them in blocks of the size that the page asks for.

// The globals of this scope are not in TypeScript's library for pages.
const { AudioWorkletProcessor, registerProcessor } = /** @type {any} */ (globalThis);

class Collector extends AudioWorkletProcessor {
  /** @param {{ processorOptions: { size: number } }} options */
  constructor(options) {
    super();
    this.block = new Float32Array(options.processorOptions.size);
    this.length = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const samples = inputs[0]?.[0] ?? [];
    for (const sample of samples) {
      this.block[this.length++] = sample;
      if (this.length === this.block.length) {
        this.port.postMessage(this.block);
        this.length = 0;
      }
    }
    return true;
  }
}

registerProcessor("ninjacam-collector", Collector);
