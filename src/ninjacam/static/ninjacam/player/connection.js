// The page's WebSocket to a mount point, shared by all its players: subscriptions, reconnecting, the server's clock.
// Not here: the interpretation of frames (session.js).

import { parseFrame } from "./wire.js";

/** @typedef {import("./wire.js").MediaFrame} MediaFrame */

/**
 * @typedef {object} StreamInfo sent before the first frame, and again whenever it changes
 * @property {string} codec as in RFC 6381 ("avc1.64001f"), or "mjpeg"
 * @property {number} width
 * @property {number} height
 * @property {"annexb" | "fmp4" | "jpeg"} format
 * @property {string} [source] name of the camera's stream; MJPEG over HTTP does not report it
 */

/**
 * @typedef {object} ViewError a user's processor failed; the camera itself continues
 * @property {string} code
 * @property {string} message
 */

/**
 * @typedef {object} Request
 * @property {string} camera
 * @property {string} view
 * @property {"annexb" | "fmp4" | "annotations"} format
 * @property {string[]} [codecs] of the video
 * @property {string} [stream] of the video; empty: by width
 * @property {number | null} [width] of the video
 */

/**
 * "down": disconnected, retrying; "unavailable": never connected; "refused": the server denied access.
 * @typedef {"up" | "down" | "unavailable" | "refused"} Link
 */

/**
 * Callbacks of a subscriber, used by both transports (this one and mjpeg.js).
 * @typedef {object} Handlers
 * @property {(info: StreamInfo) => void} onstream
 * @property {(frame: MediaFrame) => void} onframe
 * @property {(state: string, message: string, viewError: ViewError | null) => void} onstate
 * @property {(code: string, message: string) => void} onerror the subscription has ended
 * @property {(link: Link) => void} onlink
 * @property {(capturedUs: number, annotations: unknown) => void} [onannotations] the view's annotations for one frame
 */

/** @typedef {{ id: number, request: Request, handlers: Handlers, stream: number | null }} Subscription */

const BACKOFF_FIRST_MS = 250;
const MAX_BACKOFF_MS = 5000;
const REFUSED_RETRY_MS = 15000;
const PING_EVERY_MS = 3000;
const FIRST_PINGS_MS = [150, 400, 1000]; // the first pings wait behind the first frames, and measure the clock inaccurately
const SILENCE_MS = 8000; // a socket without any message for this long is dead, even if the browser has not noticed
const IDLE_CLOSE_MS = 3000;
const TRIES_BEFORE_UNAVAILABLE = 3;
const CLOSE_NOT_AUTHENTICATED = 4401;
const CLOSE_REFUSED = 4403;

/** @type {Map<string, Connection>} */
const connections = new Map();

/** Return the URL of `path` below the mount point.
 * @param {string} base
 * @param {string} path
 * @param {Record<string, string>} [query] empty values are omitted
 */
export function mountedUrl(base, path, query = {}) {
  const url = new URL(base.replace(/\/*$/, "/") + path, document.baseURI);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  return url;
}

/** Return this page's connection to a mount point.
 * @param {string} base
 */
export function connectionTo(base) {
  const url = mountedUrl(base, "live/ws");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let connection = connections.get(url.href);
  if (!connection) connections.set(url.href, (connection = new Connection(url.href)));
  return connection;
}

export class Connection {
  #url;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<number, Subscription>} */
  #subscriptions = new Map();
  #lastId = 0;
  #everOpened = false;
  #failures = 0;
  #heardAt = 0;
  /** @type {Link} */
  #link = "down";
  #retryTimer = 0;
  #pingTimer = 0;
  #idleTimer = 0;
  clock = new ServerClock();
  /** A movement has failed. @type {(camera: string, message: string) => void} */
  onptz = () => {};

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
    addEventListener("online", () => this.#retryNow());
    addEventListener("pagehide", () => this.#close()); // an open socket keeps a page out of the back/forward cache
    addEventListener("pageshow", (event) => event.persisted && this.#retryNow());
  }

  /**
   * Subscribe, now and again after each reconnect, until the returned function is called.
   * @param {Request} request
   * @param {Handlers} handlers
   * @returns {() => void}
   */
  subscribe(request, handlers) {
    const subscription = { id: ++this.#lastId, request, handlers, stream: null };
    this.#subscriptions.set(subscription.id, subscription);
    clearTimeout(this.#idleTimer);
    if (this.#socket?.readyState === WebSocket.OPEN) this.#ask(subscription);
    else if (!this.#socket) this.#retryNow();
    return () => this.#unsubscribe(subscription);
  }

  get link() {
    return this.#link;
  }

  /** Send a command at once. Return false without a connection: commands are never sent later.
   * @param {object} message
   */
  command(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#send(message);
    return true;
  }

  /** @param {Subscription} subscription */
  #unsubscribe(subscription) {
    if (!this.#subscriptions.delete(subscription.id)) return;
    this.#send({ op: "unsubscribe", id: subscription.id });
    if (this.#subscriptions.size === 0) {
      clearTimeout(this.#idleTimer);
      this.#idleTimer = setTimeout(() => this.#close(), IDLE_CLOSE_MS);
    }
  }

  /** @param {Subscription} subscription */
  #ask(subscription) {
    subscription.stream = null;
    this.#send({ op: "subscribe", id: subscription.id, ...subscription.request });
  }

  /** @param {object} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => this.#socket === socket && this.#closed(event.code);
  }

  #opened() {
    this.#everOpened = true;
    this.#heardAt = performance.now();
    this.#setLink("up");
    for (const subscription of this.#subscriptions.values()) this.#ask(subscription);
    this.#ping();
    for (const delay of FIRST_PINGS_MS) setTimeout(() => this.#ping(), delay);
    this.#pingTimer = setInterval(() => this.#ping(), PING_EVERY_MS);
  }

  #ping() {
    if (performance.now() - this.#heardAt > SILENCE_MS) return this.#dropped();
    this.#send({ op: "ping", t: performance.now() });
  }

  /** Discard the socket at once: the browser may take minutes to notice that it is dead. */
  #dropped() {
    const socket = this.#socket;
    this.#closed(1006);
    socket?.close();
  }

  /** @param {number} code */
  #closed(code) {
    this.#socket = null;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#retryTimer);
    if (this.#subscriptions.size === 0) return;
    this.#failures += 1;
    const refused = code === CLOSE_NOT_AUTHENTICATED || code === CLOSE_REFUSED;
    const hopeless = !this.#everOpened && this.#failures >= TRIES_BEFORE_UNAVAILABLE;
    this.#setLink(refused ? "refused" : hopeless ? "unavailable" : "down");
    const most = Math.min(MAX_BACKOFF_MS, BACKOFF_FIRST_MS * 2 ** (this.#failures - 1));
    const delay = refused || hopeless ? REFUSED_RETRY_MS : most * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#retryNow(), delay);
  }

  #retryNow() {
    if (!this.#socket && this.#subscriptions.size > 0) this.#open();
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#retryTimer);
    this.#link = "down";
    socket?.close(1000);
  }

  /** @param {Link} link */
  #setLink(link) {
    this.#link = link;
    for (const { handlers } of [...this.#subscriptions.values()]) handlers.onlink(link);
  }

  /** @param {string | ArrayBuffer} data */
  #received(data) {
    this.#heardAt = performance.now();
    if (typeof data === "string") return this.#handleMessage(JSON.parse(data));
    const frame = parseFrame(data);
    if (!frame) return;
    this.#failures = 0;
    for (const { stream, handlers } of this.#subscriptions.values()) {
      if (stream === frame.stream) handlers.onframe(frame);
    }
  }

  /** @param {any} message JSON from our own server */
  #handleMessage(message) {
    if (message.op === "pong") {
      this.#failures = 0;
      return this.clock.learn(message.t, performance.now(), message.now_us / 1000);
    }
    if (message.op === "ptz") return this.onptz(message.camera, message.message ?? "");
    const subscription = this.#subscriptions.get(message.id);
    if (!subscription) return;
    const { handlers } = subscription;
    if (message.op === "stream") {
      subscription.stream = message.stream;
      handlers.onstream(message);
    } else if (message.op === "state") {
      handlers.onstate(message.state, message.message ?? "", message.view_error ?? null);
    } else if (message.op === "annotations") {
      handlers.onannotations?.(message.captured_us, message.annotations);
    } else if (message.op === "error") {
      this.#subscriptions.delete(subscription.id);
      handlers.onerror(message.code, message.message ?? "");
    }
  }
}

/** The server's wall clock, estimated from the fastest of the last pings. */
export class ServerClock {
  /** @type {{ roundTripMs: number, offsetMs: number }[]} */
  #samples = [];

  /**
   * @param {number} sentMs performance.now() when the ping left
   * @param {number} receivedMs performance.now() when the answer came
   * @param {number} serverMs the server's wall clock in between
   */
  learn(sentMs, receivedMs, serverMs) {
    const roundTripMs = receivedMs - sentMs;
    this.#samples.push({ roundTripMs, offsetMs: serverMs - (sentMs + receivedMs) / 2 });
    if (this.#samples.length > 10) this.#samples.shift();
  }

  /** Return milliseconds since 1970 by the server's clock; null while unknown. */
  nowMs() {
    if (this.#samples.length === 0) return null;
    const best = this.#samples.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    return performance.now() + best.offsetMs;
  }
}
