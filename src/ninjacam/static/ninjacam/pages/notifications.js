// <ninjacam-push>: turns notifications on and off in this browser. Everything else on the page is a form.

import { forget, registration, report } from "./app.js";
import { element } from "./dom.js";

class NinjacamPush extends HTMLElement {
  connectedCallback() {
    this.hidden = false;
    this.button = element(this, "button", HTMLButtonElement);
    this.status = element(this, "p", HTMLParagraphElement);
    this.button.addEventListener("click", () => this.#change());
    void this.#show();
  }

  async #show() {
    const found = await registration().catch(() => null);
    const button = /** @type {HTMLButtonElement} */ (this.button);
    if (!found || !("pushManager" in found) || !("Notification" in globalThis)) {
      button.hidden = true;
      this.#say(isSecureContext ? "unsupported" : "insecure");
      return;
    }
    const subscription = await found.pushManager.getSubscription();
    const isOn = Boolean(subscription) && this.dataset.known === "1";
    this.dataset.state = isOn ? "on" : "off";
    button.textContent = (isOn ? this.dataset.turnOff : this.dataset.turnOn) ?? "";
    button.classList.toggle("quiet", isOn);
    button.disabled = false;
    if (!isOn && Notification.permission === "denied") this.#say("denied");
  }

  async #change() {
    const button = /** @type {HTMLButtonElement} */ (this.button);
    button.disabled = true;
    this.#say("");
    try {
      if (this.dataset.state === "on") await this.#turnOff();
      else await this.#turnOn();
    } catch (error) {
      button.disabled = false;
      this.#say("failed", error instanceof Error ? error.message : "");
    }
  }

  async #turnOn() {
    if ((await Notification.requestPermission()) !== "granted") {
      /** @type {HTMLButtonElement} */ (this.button).disabled = false;
      this.#say("denied");
      return;
    }
    const found = /** @type {ServiceWorkerRegistration} */ (await registration());
    const applicationServerKey = bytes(this.dataset.key ?? "");
    let subscription = await found.pushManager.getSubscription();
    if (subscription && !isSame(subscription.options.applicationServerKey, applicationServerKey)) {
      await subscription.unsubscribe(); // The server has a new key.
      subscription = null;
    }
    subscription ??= await found.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
    await report(subscription);
    location.reload(); // The list has this browser now.
  }

  async #turnOff() {
    await forget();
    element(document, "form.this-browser button[value=remove]", HTMLButtonElement).click();
  }

  /** @param {string} name of a text @param {string} [detail] */
  #say(name, detail) {
    const text = name ? (this.dataset[name] ?? "") : "";
    /** @type {HTMLParagraphElement} */ (this.status).textContent = detail ? `${text} ${detail}` : text;
  }
}

/** @param {string} base64url */
function bytes(base64url) {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** @param {ArrayBuffer | null} one @param {Uint8Array} other */
function isSame(one, other) {
  const held = new Uint8Array(one ?? new ArrayBuffer(0));
  return held.length === other.length && held.every((byte, at) => byte === other[at]);
}

customElements.define("ninjacam-push", NinjacamPush);
