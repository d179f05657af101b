// The interface of the three painters, and what they share: a canvas that shows frames.

/** @typedef {import("./wire.js").MediaFrame} MediaFrame */
/** @typedef {import("./connection.js").StreamInfo} StreamInfo */
/** @typedef {VideoFrame | HTMLVideoElement | ImageBitmap} FrameImage */

/**
 * @typedef {object} PaintMeta
 * @property {number} capturedUs the server's wall clock when the frame was captured; 0: unknown
 * @property {number} width
 * @property {number} height
 * @property {number} sequence of the media message; -1 if the browser does not report it (MSE)
 */

/**
 * @typedef {object} PainterHost
 * @property {(image: FrameImage, meta: PaintMeta) => void} painted a frame is displayed; its image is valid during the call only
 * @property {(reason: string, fatal: boolean) => void} failed called once; fatal: a retry would not help
 * @property {() => void} overloaded the decoder is too slow, and frames are dropped
 * @property {() => void} blocked the browser requires a gesture before it plays
 * @property {() => number} holdMs for how long frames are held after their arrival
 */

/**
 * Displays frames in `element`. `close` leaves the last frame visible; `dispose` frees it, too.
 * @typedef {object} Painter
 * @property {HTMLElement} element
 * @property {number} framesDecoded
 * @property {(info: StreamInfo) => void} configure
 * @property {(frame: MediaFrame) => void} push
 * @property {() => void} close
 * @property {() => void} dispose
 */

export class CanvasSurface {
  element = document.createElement("canvas");
  #context = this.element.getContext("2d", { alpha: false });

  /**
   * @param {VideoFrame | ImageBitmap} image
   * @param {number} width
   * @param {number} height
   */
  draw(image, width, height) {
    if (this.element.width !== width || this.element.height !== height) {
      this.element.width = width;
      this.element.height = height;
    }
    this.#context?.drawImage(image, 0, 0, width, height);
  }

  free() {
    this.element.width = this.element.height = 0;
  }
}

/**
 * Report each frame that a video displays: its media time and its size.
 * @param {HTMLVideoElement} video
 * @param {() => boolean} isOver
 * @param {(mediaTimeS: number, width: number, height: number) => void} painted
 */
export function watchVideo(video, isOver, painted) {
  if (typeof video.requestVideoFrameCallback !== "function") return watchTime(video, isOver, painted, -1);
  video.requestVideoFrameCallback((_now, { mediaTime, width, height }) => {
    if (isOver()) return;
    painted(mediaTime, width, height);
    watchVideo(video, isOver, painted);
  });
}

/**
 * For browsers without requestVideoFrameCallback: report whenever the time has changed.
 * @param {HTMLVideoElement} video
 * @param {() => boolean} isOver
 * @param {(mediaTimeS: number, width: number, height: number) => void} painted
 * @param {number} before
 */
function watchTime(video, isOver, painted, before) {
  requestAnimationFrame(() => {
    if (isOver()) return;
    const { currentTime, videoWidth, videoHeight } = video;
    if (currentTime !== before && videoWidth && !video.seeking) painted(currentTime, videoWidth, videoHeight);
    watchTime(video, isOver, painted, currentTime);
  });
}
