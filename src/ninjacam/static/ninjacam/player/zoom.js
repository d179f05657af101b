// Zooms into the displayed picture: by pinching, the wheel, the keys + − 0, and dragging. Only the stage is transformed, so
// annotations stay in their places.

export const MAX_SCALE = 8;
const KEY_FACTOR = 1.5;
const WHEEL_ZOOM = 1.002; // per pixel of wheel movement
const LINE_PX = 16;
const DRAG_PX = 4; // a shorter drag is a click

/** @typedef {{ scale: number, x: number, y: number }} Transform x, y: of the stage's corner, in pixels of the box, 0 or less */

/**
 * Zoom around a point, which stays where it is unless the picture would leave the box.
 * @param {Transform} before
 * @param {number} scale
 * @param {{ x: number, y: number }} at in pixels of the box
 * @param {{ width: number, height: number }} box
 * @returns {Transform}
 */
export function zoomed(before, scale, at, box) {
  const next = Math.min(MAX_SCALE, Math.max(1, scale));
  const factor = next / before.scale;
  return moved({ scale: next, x: at.x - (at.x - before.x) * factor, y: at.y - (at.y - before.y) * factor }, 0, 0, box);
}

/**
 * @param {Transform} before
 * @param {number} dx
 * @param {number} dy
 * @param {{ width: number, height: number }} box
 * @returns {Transform}
 */
export function moved({ scale, x, y }, dx, dy, box) {
  const within = (/** @type {number} */ value, /** @type {number} */ sizePx) =>
    Math.min(0, Math.max(sizePx * (1 - scale), value));
  return { scale, x: within(x + dx, box.width), y: within(y + dy, box.height) };
}

export class Zoom {
  #host;
  #stage;
  #changed;
  /** @type {Transform} */
  #at = { scale: 1, x: 0, y: 0 };
  /** @type {Map<number, { x: number, y: number }>} pointers that are down, in pixels of the box */
  #pointers = new Map();
  #movedPx = 0;
  enabled = false;

  /**
   * @param {HTMLElement} host the box
   * @param {HTMLElement} stage fills the box
   * @param {(scale: number) => void} changed
   */
  constructor(host, stage, changed) {
    this.#host = host;
    this.#stage = stage;
    this.#changed = changed;
    host.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    host.addEventListener("pointerdown", (event) => this.#down(event));
    host.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of /** @type {const} */ (["pointerup", "pointercancel"])) {
      host.addEventListener(name, (event) => this.#pointers.delete(event.pointerId));
    }
    new ResizeObserver(() => this.#set(moved(this.#at, 0, 0, this.#box()))).observe(host);
  }

  get scale() {
    return this.#at.scale;
  }

  reset() {
    this.#set({ scale: 1, x: 0, y: 0 });
  }

  /** @param {string} key @returns {boolean} whether it is a key of the zoom */
  key(key) {
    const { width, height } = this.#box();
    const center = { x: width / 2, y: height / 2 };
    if (key === "+" || key === "=") this.#set(zoomed(this.#at, this.scale * KEY_FACTOR, center, { width, height }));
    else if (key === "-") this.#set(zoomed(this.#at, this.scale / KEY_FACTOR, center, { width, height }));
    else if (key === "0") this.reset();
    else return false;
    return true;
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // The wheel alone scrolls the page until the picture is enlarged. A pinch on a touchpad arrives with Ctrl.
    const isMeant = event.ctrlKey || event.metaKey || this.scale > 1 || document.fullscreenElement === this.#host;
    if (!this.enabled || !isMeant) return;
    event.preventDefault();
    const px = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PX : 1);
    const scale = this.scale * WHEEL_ZOOM ** -Math.max(-300, Math.min(300, px));
    this.#set(zoomed(this.#at, scale, this.#point(event), this.#box()));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (!this.enabled || event.button || /** @type {Element} */ (event.composedPath()[0]).closest("a, button")) return;
    this.#pointers.set(event.pointerId, this.#point(event));
    this.#movedPx = 0;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    if (event.pointerType === "mouse" && !event.buttons) return void this.#pointers.delete(event.pointerId);
    const now = this.#point(event);
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.#pointers.set(event.pointerId, now);
    const box = this.#box();
    const dx = now.x - before.x;
    const dy = now.y - before.y;
    if (other) {
      const beforePx = Math.hypot(before.x - other.x, before.y - other.y);
      const nowPx = Math.hypot(now.x - other.x, now.y - other.y);
      const center = { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 };
      const pinched = zoomed(this.#at, this.scale * (nowPx / Math.max(1, beforePx)), center, box);
      this.#set(moved(pinched, dx / 2, dy / 2, box));
    } else if (this.scale > 1) {
      this.#movedPx += Math.abs(dx) + Math.abs(dy);
      if (this.#movedPx >= DRAG_PX && !this.#host.hasPointerCapture(event.pointerId)) {
        this.#host.setPointerCapture(event.pointerId);
      }
      this.#set(moved(this.#at, dx, dy, box));
    }
  }

  /** @param {Transform} next */
  #set(next) {
    const { scale, x, y } = next;
    const isNew = scale !== this.scale;
    this.#at = next;
    this.#stage.style.transform = scale > 1 ? `translate(${x}px, ${y}px) scale(${scale})` : "";
    this.#host.classList.toggle("zoomed", scale > 1);
    if (isNew) this.#changed(scale);
  }

  #box() {
    return { width: this.#host.clientWidth, height: this.#host.clientHeight };
  }

  /** @param {MouseEvent} event */
  #point(event) {
    const { left, top } = this.#host.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }
}
