// The button to talk to the camera of the page: while it is held, the microphone's audio goes to the camera's loudspeaker.
// One press is one WebSocket (docs/websocket.md); its end is the end of the talk.

import { base } from "./api.js";
import { mountedUrl } from "../player/connection.js";

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */

const MAX_UNSENT_S = 0.3; // if more waits in the browser, audio is dropped: late speech is worse than a gap
const CAPTURE = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** One press of the button. */
class Talk {
  #isOver = false;
  /** @type {WebSocket} */
  #socket;
  /** @type {MediaStream | null} */
  #microphone = null;
  /** @type {AudioContext | null} */
  #audio = null;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  #rateHz = 0;
  #onready;
  #onend;

  /**
   * @param {URL} url
   * @param {() => void} onready
   * @param {(message: string | null) => void} onend why it has ended by itself; null: the server has not said
   */
  constructor(url, onready, onend) {
    this.#onready = onready;
    this.#onend = onend;
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = () => this.#fail(null);
    void this.#listen().catch((error) => this.#fail(error));
  }

  async #listen() {
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: CAPTURE });
    this.#microphone = microphone;
    if (this.#isOver) return this.end();
    const audio = (this.#audio = new AudioContext({ latencyHint: "interactive" }));
    await audio.audioWorklet.addModule(new URL("./talk-worklet.js", import.meta.url));
    if (this.#isOver) return;
    const node = (this.#node = new AudioWorkletNode(audio, "ninjacam-talk", { numberOfOutputs: 1 }));
    node.port.onmessage = ({ data }) => this.#send(data);
    audio.createMediaStreamSource(microphone).connect(node).connect(audio.destination); // it plays silence
    this.#begin();
  }

  /** @param {any} message JSON from our own server */
  #receive(message) {
    if (message.op === "error") return this.#fail(message.message);
    if (message.op !== "ready") return;
    this.#rateHz = message.rate_hz;
    this.#begin();
  }

  /** When both the camera and the microphone are ready. */
  #begin() {
    if (this.#isOver || !this.#node || !this.#rateHz) return;
    this.#node.port.postMessage({ rateHz: this.#rateHz });
    this.#onready();
  }

  /** @param {ArrayBuffer} pcm */
  #send(pcm) {
    const isOpen = this.#socket.readyState === WebSocket.OPEN;
    if (!this.#isOver && isOpen && this.#socket.bufferedAmount < MAX_UNSENT_S * this.#rateHz * 2) this.#socket.send(pcm);
  }

  /** @param {any} why */
  #fail(why) {
    if (this.#isOver) return;
    this.end();
    this.#onend(why);
  }

  /** Idempotent. */
  end() {
    this.#isOver = true;
    this.#socket.close(1000);
    this.#node?.port.postMessage({});
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
    void this.#audio?.close().catch(() => {});
    this.#audio = null;
  }
}

class TalkButton {
  #root;
  #button;
  #note;
  /** @type {Talk | null} */
  #talk = null;
  #wasMuted = true;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
    this.#button = /** @type {HTMLButtonElement} */ (root.querySelector("button"));
    this.#note = /** @type {HTMLElement} */ (root.querySelector("[data-note]"));
    const button = this.#button;
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      this.#press();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
      button.addEventListener(name, () => this.#release());
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long touch
    button.addEventListener("keydown", (event) => this.#pressKey(event));
    button.addEventListener("keyup", (event) => this.#releaseKey(event));
    button.addEventListener("click", (event) => this.#toggle(event));
    addEventListener("blur", () => this.#release());
    addEventListener("pagehide", () => this.#release());
    document.addEventListener("visibilitychange", () => document.hidden && this.#release());
  }

  /** @param {KeyboardEvent} event */
  #pressKey(event) {
    if ((event.key !== " " && event.key !== "Enter") || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault(); // no click
    event.stopPropagation(); // the page's own keys play and pause the recording
    if (!event.repeat) this.#press();
  }

  /** @param {KeyboardEvent} event */
  #releaseKey(event) {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault(); // Firefox clicks here
    this.#release();
  }

  /** Assistive technology clicks without a pointer: the first click begins to talk, the next one ends it.
   * @param {MouseEvent} event
   */
  #toggle(event) {
    if (event.detail !== 0) return;
    if (this.#talk) this.#release();
    else this.#press();
  }

  #press() {
    if (this.#talk) return;
    if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return this.#say("insecure", true);
    const url = mountedUrl(base, `live/${this.#root.dataset.camera}/talk`);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.#mute();
    const talk = new Talk(url, () => this.#show("talking"), (why) => this.#talk === talk && this.#ended(why));
    this.#talk = talk;
    this.#show("connecting");
  }

  #release() {
    if (!this.#talk) return;
    this.#talk.end();
    this.#talk = null;
    this.#show("");
    this.#unmute();
  }

  /** @param {any} why */
  #ended(why) {
    this.#release();
    if (typeof why === "string") this.#note.textContent = why;
    else if (why?.name === "NotAllowedError") this.#say("denied");
    else if (why?.name === "NotFoundError" || why?.name === "NotReadableError") this.#say("noMicrophone");
    else this.#say("lost");
    this.#note.classList.add("error");
  }

  /** @param {"" | "connecting" | "talking"} state */
  #show(state) {
    this.#root.dataset.state = state;
    this.#button.setAttribute("aria-pressed", String(state === "talking"));
    this.#say(state);
  }

  /**
   * @param {string} name of a text in the dataset; "": none
   * @param {boolean} [isError]
   */
  #say(name, isError = false) {
    this.#note.textContent = name ? (this.#root.dataset[name] ?? "") : "";
    this.#note.classList.toggle("error", isError);
  }

  /** The microphone must not hear the camera. */
  #mute() {
    const player = this.#player();
    this.#wasMuted = player?.muted ?? true;
    if (player) player.muted = true;
  }

  #unmute() {
    const player = this.#player();
    if (player) player.muted = this.#wasMuted;
  }

  #player() {
    return /** @type {Player | null} */ (document.querySelector("ninjacam-player"));
  }
}

const root = document.getElementById("talk");
if (root) new TalkButton(root);
