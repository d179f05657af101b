// On each page: registers the service worker, keeps the browser's push subscription in step with the server, and ends it
// when the user logs out.

import { callApi } from "./api.js";

const LOGOUT_MS = 1500;

/**
 * @typedef {object} Known what the server knows of this browser's subscription
 * @property {string} user
 * @property {string} guard changes with the password
 * @property {string} endpoint
 */

const manifest = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=manifest]"));
const scope = new URL(".", manifest?.href ?? location.href);
const key = `ninjacam push ${scope.pathname}`;
const content = document.getElementById("content");
const [user = "", guard = ""] = (content?.dataset.browser ?? "").split(".");

/** @returns {Known | null} */
function read() {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null; // storage is blocked
  }
}

/** @param {Known | null} known */
function write(known) {
  try {
    if (known) localStorage.setItem(key, JSON.stringify(known));
    else localStorage.removeItem(key);
  } catch {} // The subscription is then not renewed by itself.
}

/** @returns {Promise<ServiceWorkerRegistration | null>} null: this browser, or plain http, has no service workers */
export async function registration() {
  if (!navigator.serviceWorker) return null;
  await navigator.serviceWorker.register(new URL("service-worker.js", scope), { updateViaCache: "none" });
  return navigator.serviceWorker.ready;
}

/**
 * Report the subscription to the server.
 * @param {PushSubscription} subscription
 * @throws {import("./api.js").ApiError}
 */
export async function report(subscription) {
  const { endpoint, keys } = subscription.toJSON();
  await callApi("notifications/browsers", { endpoint, keys: { p256dh: keys?.p256dh, auth: keys?.auth } });
  write({ user, guard, endpoint: subscription.endpoint });
}

/** End the subscription in this browser. The push service then rejects what the server still sends. */
export async function forget() {
  write(null);
  const found = await navigator.serviceWorker?.getRegistration(scope);
  const subscription = await found?.pushManager?.getSubscription();
  await subscription?.unsubscribe();
  for (const each of (await found?.getNotifications?.()) ?? []) each.close();
}

async function keep() {
  const found = await registration();
  const known = read();
  if (!found || !user || !known) return;
  if (known.user !== user) {
    await forget(); // Another user of this browser has not logged out.
    return;
  }
  const subscription = await found.pushManager.getSubscription();
  if (!subscription) write(null);
  else if (known.guard !== guard || known.endpoint !== subscription.endpoint) await report(subscription);
}

const logout = /** @type {HTMLFormElement | null} */ (document.querySelector("form.logout"));
logout?.addEventListener("submit", (event) => {
  if (!read()) return;
  event.preventDefault();
  const timeout = new Promise((done) => setTimeout(done, LOGOUT_MS));
  void Promise.race([forget().catch(() => {}), timeout]).then(() => logout.submit());
});

keep().catch((error) => console.info(`Ninjacam: ${error.message}`)); // e.g. a certificate that the browser only tolerates
