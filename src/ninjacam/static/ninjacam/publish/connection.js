// The WebSocket to the server. It is opened again when it is lost, until the server says that this is of no use.

const FIRST_MS = 500;
const MAX_MS = 8000;
const GOOD_MS = 10_000; // a connection that lasted this long resets the delay
/** Close codes after which another attempt is of no use, and the key of the message about it. @type {Record<number, string>} */
const FINAL = { 4404: "invalid", 4403: "busy", 1008: "failed" };

export class PublisherConnection {
  /** The server takes media. @type {(answer: { audio: boolean }) => void} */
  onready = () => {};
  /** The connection was lost, and is opened again. @type {(reason: string) => void} */
  onlost = () => {};
  /** The connection has ended. @type {(key: string) => void} */
  onend = () => {};
  /** @type {(delayMs: number) => void} */
  ondelay = () => {};
  /** @type {WebSocket | null} */
  #socket = null;
  #isReady = false;
  #isClosed = true;
  #delayMs = FIRST_MS;
  #timer = 0;
  #readyMs = 0;

  constructor() {
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#retryNow());
  }

  open() {
    this.#isClosed = false;
    this.#delayMs = FIRST_MS;
    this.#connect();
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#forget()?.close(1000);
  }

  get isReady() {
    return this.#isReady;
  }

  get queuedBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {Uint8Array<ArrayBuffer>} message */
  send(message) {
    if (this.#isReady) this.#socket?.send(message);
  }

  #connect() {
    clearTimeout(this.#timer);
    const url = new URL(location.pathname + "ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(JSON.parse(data));
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lose(code, reason);
    this.#socket = socket;
  }

  /** @param {any} answer */
  #take(answer) {
    if (answer.op === "ack") {
      // Timestamps are those of performance.now(), as 32 bits.
      this.ondelay((Math.round(performance.now()) - answer.t) >>> 0);
    } else if (answer.op === "ready") {
      this.#isReady = true;
      this.#readyMs = performance.now();
      this.#keepLink(answer.link);
      this.onready(answer);
    } else if (answer.op === "link") {
      this.#keepLink(answer.link);
    }
  }

  /** The link works for longer than the one with which the page was opened. @param {string} link */
  #keepLink(link) {
    history.replaceState(null, "", location.pathname.replace(/[^/]+\/$/, `${link}/`));
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #lose(code, reason) {
    if (this.#isReady && performance.now() - this.#readyMs > GOOD_MS) this.#delayMs = FIRST_MS;
    this.#forget();
    if (FINAL[code]) {
      this.#isClosed = true;
      this.onend(FINAL[code]);
      return;
    }
    this.onlost(reason);
    this.#timer = setTimeout(() => this.#connect(), this.#delayMs * (0.8 + 0.4 * Math.random()));
    this.#delayMs = Math.min(MAX_MS, this.#delayMs * 2);
  }

  #retryNow() {
    if (!this.#isClosed && !this.#socket) this.#connect();
  }

  #forget() {
    const socket = this.#socket;
    this.#socket = null;
    this.#isReady = false;
    return socket;
  }
}
