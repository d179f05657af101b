// The device's cameras and microphone.

const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };

/** The error's key in the page's messages. @param {unknown} error */
export function keyOf(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "missing";
  return name === "NotReadableError" || name === "AbortError" ? "in_use" : "failed";
}

export class DeviceCamera {
  /** @type {MediaStreamTrack | null} */
  video = null;
  /** @type {MediaStreamTrack | null} */
  audio = null;
  #facing = "environment";

  /**
   * Open camera and microphone. Without the microphone, `audio` stays null.
   * @param {boolean} withSound
   */
  async open(withSound) {
    const video = { ...VIDEO, facingMode: this.#facing };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video, audio: withSound });
    } catch (error) {
      if (!withSound) throw error;
      stream = await navigator.mediaDevices.getUserMedia({ video });
    }
    [this.video = null] = stream.getVideoTracks();
    [this.audio = null] = stream.getAudioTracks();
  }

  /** Change between the cameras on the front and the back. Phones open one at a time. */
  async flip() {
    this.#facing = this.#facing === "environment" ? "user" : "environment";
    this.video?.stop();
    const stream = await navigator.mediaDevices.getUserMedia({ video: { ...VIDEO, facingMode: this.#facing } });
    [this.video = null] = stream.getVideoTracks();
  }

  get isFront() {
    return this.video?.getSettings().facingMode === "user";
  }

  async hasOther() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").length > 1;
  }

  get hasTorch() {
    return Boolean(/** @type {any} */ (this.video?.getCapabilities?.())?.torch);
  }

  /** @param {boolean} isOn */
  async setTorch(isOn) {
    await this.video?.applyConstraints(/** @type {any} */ ({ advanced: [{ torch: isOn }] }));
  }

  close() {
    this.video?.stop();
    this.audio?.stop();
    this.video = this.audio = null;
  }
}
