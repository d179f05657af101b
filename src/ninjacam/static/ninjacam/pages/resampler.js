// Changes the sample rate of audio, piece by piece: a low-pass filter (windowed sinc) evaluated at the new sample times.

const ZERO_CROSSINGS = 16; // on each side of the filter's centre
const PASSED = 0.92; // share of the lower rate's bandwidth that passes; the rest is the filter's slope

export class Resampler {
  #up; // `to` samples for each `down` samples of `from`, without common factors
  #down;
  #half; // samples on each side of the centre
  /** @type {Float32Array[]} the filter at each offset of a new sample between two old ones */
  #phases = [];
  #input = new Float32Array(0); // what the next output still needs
  #at = 0; // of the next output: index in #input of the sample before its centre
  #phase = 0;

  /**
   * @param {number} from Hz
   * @param {number} to Hz
   */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.#up = to / divisor;
    this.#down = from / divisor;
    const cutoff = Math.min(1, to / from) * PASSED;
    this.#half = Math.ceil(ZERO_CROSSINGS / cutoff);
    for (let phase = 0; phase < this.#up; phase += 1) this.#phases.push(filterAt(phase / this.#up, cutoff, this.#half));
    this.#input = new Float32Array(this.#half); // silence before the first sample
    this.#at = this.#half - 1;
  }

  /**
   * Return the new samples that are known so far: the last ones need the start of the next piece.
   * @param {Float32Array} piece
   */
  push(piece) {
    const input = new Float32Array(this.#input.length + piece.length);
    input.set(this.#input);
    input.set(piece, this.#input.length);
    const half = this.#half;
    const output = [];
    while (this.#at + half < input.length) {
      const filter = this.#phases[this.#phase];
      const first = this.#at - half + 1;
      let sum = 0;
      for (let tap = 0; tap < filter.length; tap += 1) sum += filter[tap] * input[first + tap];
      output.push(sum);
      this.#phase += this.#down;
      this.#at += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    const done = Math.max(0, this.#at - half + 1);
    this.#input = input.slice(done);
    this.#at -= done;
    return Float32Array.from(output);
  }
}

/**
 * Return the filter for a centre at `offset` (0 to 1) after the sample at index half - 1.
 * @param {number} offset
 * @param {number} cutoff share of the old rate's bandwidth
 * @param {number} half
 */
function filterAt(offset, cutoff, half) {
  const filter = new Float32Array(2 * half);
  let sum = 0;
  for (let tap = 0; tap < filter.length; tap += 1) {
    const x = tap - (half - 1) - offset;
    const sinc = x === 0 ? 1 : Math.sin(Math.PI * cutoff * x) / (Math.PI * cutoff * x);
    filter[tap] = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / (half + 1))); // Hann window
    sum += filter[tap];
  }
  return filter.map((value) => value / sum);
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
