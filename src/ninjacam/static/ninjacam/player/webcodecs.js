// Annex B access units -> VideoDecoder -> canvas. The lowest latency; secure contexts only.

import { CanvasSurface } from "./painter.js";

/** @typedef {import("./painter.js").PainterHost} PainterHost */
/** @typedef {import("./painter.js").MediaFrame} MediaFrame */
/** @typedef {import("./painter.js").StreamInfo} StreamInfo */

const BEHIND_US = 200_000; // frames this much older than the newest input belong to a burst and are not shown ...
const SHOW_ANYWAY_MS = 500; // ... unless nothing was displayed for this long
const OVERLOAD_S = 0.5; // a decoder queue of this length that does not shrink means that this machine is too slow
const OVERLOAD_WINDOW_MS = 500;
const MAX_HELD = 8; // decoded frames; decoders have few buffers

export class WebCodecsPainter {
  framesDecoded = 0;
  #surface = new CanvasSurface();
  #host;
  /** @type {VideoDecoder | null} */
  #decoder = null;
  #codec = "";
  #needKey = true;
  /** @type {Map<number, { frame: MediaFrame, arrivedAt: number }>} frames in the decoder, by timestamp */
  #inside = new Map();
  /** @type {{ image: VideoFrame, frame?: MediaFrame, dueAt: number }[]} decoded frames that are not due, oldest first */
  #held = [];
  #heldTimer = 0; // until the oldest one is due; 0: none is held
  #newestUs = 0;
  #shownAt = -Infinity;
  #windowStart = 0;
  #queueBefore = Infinity;

  /** @param {PainterHost} host */
  constructor(host) {
    this.#host = host;
  }

  get element() {
    return this.#surface.element;
  }

  /** @param {StreamInfo} info */
  configure(info) {
    if (this.#decoder && this.#codec === info.codec) return; // a new size arrives with in-band parameter sets
    this.#codec = info.codec;
    this.#restart();
  }

  #restart() {
    this.#closeDecoder();
    const decoder = new VideoDecoder({
      output: (image) => this.#output(image),
      error: (error) => {
        if (this.#decoder !== decoder) return;
        this.#decoder = null;
        this.#host.failed(String(error), error.name === "NotSupportedError");
      },
    });
    this.#decoder = decoder;
    this.#needKey = true;
    this.#inside.clear();
    try {
      decoder.configure({ codec: this.#codec, optimizeForLatency: true });
    } catch (error) {
      this.#decoder = null;
      this.#host.failed(String(error), true);
    }
  }

  /** @param {MediaFrame} frame */
  push(frame) {
    if (!this.#decoder) return;
    if (this.#overloaded(frame)) {
      this.#host.overloaded();
      if (!frame.key) {
        this.#needKey = true;
        return;
      }
      this.#restart(); // queued frames are older than this key frame
    }
    if (this.#needKey && !frame.key) return;
    this.#needKey = false;
    this.#newestUs = frame.ptsUs;
    this.#inside.set(frame.ptsUs, { frame, arrivedAt: performance.now() });
    const type = frame.key ? "key" : "delta";
    try {
      this.#decoder?.decode(new EncodedVideoChunk({ type, timestamp: frame.ptsUs, data: frame.payload }));
    } catch (error) {
      this.close(); // Chromium inspects the data at once, and throws if a key frame is required and this is not one
      this.#host.failed(String(error), false);
    }
  }

  /**
   * Return whether the queue stays long. A burst such as the cached GOP makes it long only for a moment.
   * @param {MediaFrame} frame
   */
  #overloaded(frame) {
    const queue = this.#decoder?.decodeQueueSize ?? 0;
    const limit = Math.max(6, (OVERLOAD_S * 1e6) / (frame.durationUs || 40_000));
    const now = performance.now();
    if (queue <= limit) {
      this.#windowStart = now;
      this.#queueBefore = Infinity;
      return false;
    }
    if (now - this.#windowStart < OVERLOAD_WINDOW_MS) return false;
    const grows = queue >= this.#queueBefore;
    this.#windowStart = now;
    this.#queueBefore = queue;
    return grows;
  }

  /** @param {VideoFrame} image */
  #output(image) {
    this.framesDecoded += 1;
    const { frame, arrivedAt = 0 } = this.#inside.get(image.timestamp) ?? {};
    this.#inside.delete(image.timestamp);
    if (this.#inside.size > 1000) this.#inside.clear(); // frames for which the decoder had no output
    const now = performance.now();
    const behind = this.#newestUs - image.timestamp > BEHIND_US;
    if (behind && now - this.#shownAt <= SHOW_ANYWAY_MS) return image.close();
    this.#held.push({ image, frame, dueAt: arrivedAt + this.#host.holdMs() });
    this.#showDue();
  }

  /** Show the held frames that are due, in their order. */
  #showDue() {
    clearTimeout(this.#heldTimer);
    this.#heldTimer = 0;
    while (this.#held.length) {
      const [{ image, frame, dueAt }] = this.#held;
      const waitMs = this.#held.length > MAX_HELD ? 0 : dueAt - performance.now();
      if (waitMs > 0) {
        this.#heldTimer = setTimeout(() => this.#showDue(), waitMs);
        return;
      }
      this.#held.shift();
      this.#show(image, frame);
    }
  }

  /**
   * @param {VideoFrame} image
   * @param {MediaFrame} [frame]
   */
  #show(image, frame) {
    this.#shownAt = performance.now();
    const { displayWidth: width, displayHeight: height } = image;
    this.#surface.draw(image, width, height);
    const { capturedUs = 0, sequence = -1 } = frame ?? {};
    this.#host.painted(image, { capturedUs, width, height, sequence });
    image.close();
  }

  #closeDecoder() {
    const decoder = this.#decoder;
    this.#decoder = null;
    if (decoder && decoder.state !== "closed") decoder.close();
  }

  close() {
    this.#closeDecoder();
    this.#inside.clear();
    clearTimeout(this.#heldTimer);
    for (const { image } of this.#held.splice(0)) image.close();
  }

  dispose() {
    this.close();
    this.#surface.free();
  }
}
