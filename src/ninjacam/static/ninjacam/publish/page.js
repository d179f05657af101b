// The page with which a phone becomes a camera: its buttons, its messages, and the screen that stays on.

import { AudioSender } from "./audio-sender.js";
import { DeviceCamera, keyOf } from "./camera.js";
import { PublisherConnection } from "./connection.js";
import { RecorderSender, canRecord } from "./recorder-sender.js";
import { VideoSender, canEncode } from "./video-sender.js";

const FIGURES_MS = 1000;

/**
 * @template {HTMLElement} T
 * @param {string} id
 */
const find = (id) => /** @type {T} */ (document.getElementById(id));

class PublishingPage {
  #strings = JSON.parse(find("publish-strings").textContent ?? "{}");
  #root = find("publish");
  /** @type {HTMLVideoElement} */
  #preview = find("preview");
  /** @type {HTMLButtonElement} */
  #start = find("start");
  #stop = find("stop");
  #flip = find("flip");
  #torch = find("torch");
  /** @type {HTMLInputElement} */
  #sound = find("sound");
  #camera = new DeviceCamera();
  #connection = new PublisherConnection();
  /** @type {VideoSender | RecorderSender} */
  #video = new VideoSender(this.#connection);
  #audio = new AudioSender(this.#connection);
  /** @type {WakeLockSentinel | null} */
  #wakeLock = null;
  #timer = 0;
  #delayMs = 0;
  #run = 0; // number of the present one; 0: stopped
  #runs = 0;

  async show() {
    this.#say("stopped");
    if (!isSecureContext || !navigator.mediaDevices) {
      find("insecure").hidden = false;
      return;
    }
    if (!(await canEncode())) {
      if (!canRecord()) {
        this.#complain("unsupported");
        return;
      }
      this.#video = new RecorderSender(this.#connection);
    }
    this.#start.disabled = false;
    this.#start.onclick = () => this.#begin();
    this.#stop.onclick = () => this.#end();
    this.#flip.onclick = () => this.#change();
    this.#torch.onclick = () => this.#toggleTorch();
    this.#connection.onready = () => {
      this.#video.restart();
      this.#audio.restart();
      if (find("note").dataset.key !== "no_audio") this.#complain("");
      this.#say("live");
    };
    this.#connection.onlost = (reason) => {
      this.#say("connecting");
      this.#complain("again", reason);
    };
    this.#connection.onend = (key) => this.#end(key);
    this.#connection.ondelay = (delayMs) => (this.#delayMs = delayMs);
    this.#video.onerror = () => this.#end("failed");
    document.addEventListener("visibilitychange", () => this.#keepAwake());
    addEventListener("pagehide", () => this.#connection.close());
  }

  async #begin() {
    const run = (this.#run = ++this.#runs);
    this.#start.disabled = true;
    this.#complain("");
    this.#say("starting");
    try {
      await this.#camera.open(this.#sound.checked);
    } catch (error) {
      this.#end(keyOf(error));
      return;
    }
    if (this.#isOver(run)) return;
    this.#start.hidden = true;
    this.#stop.hidden = false;
    this.#sound.disabled = true;
    await this.#read();
    if (this.#isOver(run)) return;
    await this.#listen();
    if (this.#isOver(run)) return;
    this.#say("connecting");
    this.#connection.open();
    this.#timer = setInterval(() => this.#showFigures(), FIGURES_MS);
    await this.#keepAwake();
  }

  /**
   * Whether it was stopped meanwhile. What was opened since then is closed again.
   * @param {number} run
   */
  #isOver(run) {
    if (!this.#run) this.#close();
    return this.#run !== run;
  }

  #close() {
    this.#connection.close();
    this.#video.close();
    this.#audio.close();
    this.#camera.close();
    this.#preview.srcObject = null;
    void this.#wakeLock?.release().catch(() => {});
    this.#wakeLock = null;
  }

  /** Show and read the camera's track. */
  async #read() {
    const track = this.#camera.video;
    if (!track) return;
    track.onended = () => this.#camera.video === track && this.#end("failed");
    this.#preview.srcObject = new MediaStream([track]);
    this.#preview.classList.toggle("mirrored", this.#camera.isFront);
    await this.#preview.play().catch(() => {}); // It is only the preview; browsers interrupt it when the track changes.
    this.#video.read(track, this.#preview);
    this.#flip.hidden = !(await this.#camera.hasOther());
    this.#torch.hidden = !this.#camera.hasTorch;
    this.#torch.setAttribute("aria-pressed", "false");
  }

  /** Video is never lost because of audio. */
  async #listen() {
    if (!this.#sound.checked) return;
    try {
      if (!this.#camera.audio) throw new Error("no microphone");
      await this.#audio.start(this.#camera.audio, this.#root.dataset.worklet ?? "");
    } catch {
      this.#audio.close();
      this.#complain("no_audio");
    }
  }

  async #change() {
    const run = this.#run;
    try {
      await this.#camera.flip();
      if (this.#isOver(run)) return;
      await this.#read();
      this.#isOver(run);
    } catch (error) {
      this.#end(keyOf(error));
    }
  }

  async #toggleTorch() {
    const isOn = this.#torch.getAttribute("aria-pressed") !== "true";
    await this.#camera.setTorch(isOn).then(
      () => this.#torch.setAttribute("aria-pressed", String(isOn)),
      () => (this.#torch.hidden = true),
    );
  }

  /** @param {string} [key] of the message that says why */
  #end(key) {
    this.#run = 0;
    this.#close();
    clearInterval(this.#timer);
    this.#start.hidden = this.#start.disabled = this.#sound.disabled = false;
    this.#stop.hidden = this.#flip.hidden = this.#torch.hidden = true;
    find("figures").textContent = "";
    this.#say("stopped");
    this.#complain(key ?? "");
  }

  async #keepAwake() {
    if (!this.#run || document.hidden || !navigator.wakeLock) return;
    const run = this.#run;
    const lock = await navigator.wakeLock.request("screen").catch(() => null); // Refused with a low battery.
    if (this.#isOver(run)) void lock?.release().catch(() => {});
    else this.#wakeLock = lock;
  }

  #showFigures() {
    const { width, height } = this.#video.size;
    const fps = Math.round((this.#video.takeCount() * 1000) / FIGURES_MS);
    /** @type {Record<string, number>} */
    const values = { ms: this.#delayMs, kbps: Math.round(this.#video.bitrateBps / 1000), width, height, fps };
    const text = this.#strings.delay.replace(/\{(\w+)\}/g, (/** @type {string} */ _, /** @type {string} */ name) => values[name]);
    find("figures").textContent = this.#connection.isReady && fps ? text : "";
  }

  /** @param {string} state */
  #say(state) {
    const pill = find("state");
    pill.textContent = this.#strings[state];
    pill.dataset.is = state;
  }

  /**
   * @param {string} key "": there is nothing to complain about
   * @param {string} [reason] what the server says
   */
  #complain(key, reason) {
    const note = find("note");
    note.hidden = !key;
    note.textContent = [key && this.#strings[key], reason].filter(Boolean).join(" ");
    note.dataset.key = key;
  }
}

void new PublishingPage().show();
