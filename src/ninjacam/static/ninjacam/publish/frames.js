// Reads the frames of a camera's track.

/**
 * Call `onFrame`, which takes the ownership of the frame, for each frame until the returned function is called.
 * @param {MediaStreamTrack} track
 * @param {HTMLVideoElement} video which shows the track
 * @param {(frame: VideoFrame, capturedMs: number) => void} onFrame with the time on the clock of performance.now()
 * @returns {() => void}
 */
export function readFrames(track, video, onFrame) {
  const Processor = /** @type {any} */ (globalThis).MediaStreamTrackProcessor;
  return Processor ? readTrack(new Processor({ track, maxBufferSize: 2 }).readable, onFrame) : readVideo(video, onFrame);
}

/**
 * @param {ReadableStream<VideoFrame>} stream
 * @param {(frame: VideoFrame, capturedMs: number) => void} onFrame
 */
function readTrack(stream, onFrame) {
  const reader = stream.getReader();
  // Timestamps have another origin. A frame that arrives with the least delay shows the difference best.
  let differenceMs = Infinity;
  const read = async () => {
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done) return;
      const timestampMs = frame.timestamp / 1000;
      differenceMs = Math.min(differenceMs, performance.now() - timestampMs);
      onFrame(frame, timestampMs + differenceMs);
    }
  };
  read().catch(() => {}); // The track has ended; the page notices that by itself.
  return () => void reader.cancel().catch(() => {});
}

/**
 * @param {HTMLVideoElement} video
 * @param {(frame: VideoFrame, capturedMs: number) => void} onFrame
 */
function readVideo(video, onFrame) {
  let handle = 0;
  /** @type {VideoFrameRequestCallback} */
  const step = (nowMs, metadata) => {
    handle = video.requestVideoFrameCallback(step);
    onFrame(new VideoFrame(video, { timestamp: Math.round(nowMs * 1000) }), metadata.captureTime ?? nowMs);
  };
  handle = video.requestVideoFrameCallback(step);
  return () => video.cancelVideoFrameCallback(handle);
}
