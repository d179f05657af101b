// The service worker: shows a page when the server cannot be reached, and notifications. It keeps nothing else: no page,
// answer, image or video of a user is ever stored. The server puts `self.ninjacam` before this script (web/installation.py).

/**
 * @typedef {object} Settings
 * @property {string} version
 * @property {string} offline
 * @property {string} mute
 * @property {string} notifications
 * @property {string[]} shell
 * @property {string} icon
 * @property {string} badge
 * @property {string} name
 */

/**
 * @typedef {object} Message as actions/push_messages.py makes it
 * @property {string} [id]
 * @property {string} [title]
 * @property {string} [body]
 * @property {string} [tag]
 * @property {string} [url]
 * @property {string} [image]
 * @property {string} [lang]
 * @property {string} [view]
 * @property {string} [mute]
 * @property {string} [token]
 */

const IMAGE_MS = 5000;
const MAX_IMAGE_BYTES = 2 ** 21;

// The type checker does not know the global scope of service workers.
const worker = /** @type {any} */ (globalThis);
/** @type {Settings} */
const settings = worker.ninjacam;
const prefix = `ninjacam ${settings.offline} `; // Other applications of this host may have caches, too.
const cacheName = prefix + settings.version;

worker.addEventListener("install", (/** @type {any} */ event) => {
  worker.skipWaiting();
  event.waitUntil(keepShell());
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(removeOld().then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate") event.respondWith(navigate(request));
  else if (isShell(request.url)) event.respondWith(fetch(request).catch(() => kept(request.url)));
});

worker.addEventListener("push", (/** @type {any} */ event) => event.waitUntil(show(event.data)));
worker.addEventListener("notificationclick", (/** @type {any} */ event) => event.waitUntil(click(event)));
worker.addEventListener("pushsubscriptionchange", (/** @type {any} */ event) => {
  // The next page of Ninjacam reports the new address.
  const options = event.oldSubscription?.options;
  if (options) event.waitUntil(worker.registration.pushManager.subscribe(options));
});

async function keepShell() {
  const cache = await caches.open(cacheName);
  for (const url of [settings.offline, ...settings.shell]) {
    // Static files may be on another host, which need not allow to read them.
    const isOwn = new URL(url, location.href).origin === location.origin;
    const options = /** @type {RequestInit} */ ({ cache: "reload", credentials: "same-origin", mode: isOwn ? "same-origin" : "no-cors" });
    const response = await fetch(url, options);
    if (isOwn && !response.ok) throw new Error(`${url}: ${response.status}`);
    await cache.put(url, response);
  }
}

async function removeOld() {
  for (const name of await caches.keys()) if (name.startsWith(prefix) && name !== cacheName) await caches.delete(name);
}

/** @param {string} url */
function isShell(url) {
  return settings.shell.some((each) => new URL(each, location.href).href === url);
}

/** @param {string} url */
async function kept(url) {
  const cache = await caches.open(cacheName);
  return (await cache.match(url)) ?? Response.error();
}

/** @param {Request} request */
async function navigate(request) {
  try {
    return await fetch(request);
  } catch {
    return kept(settings.offline);
  }
}

/** @param {any} data of the push event */
async function show(data) {
  /** @type {Message} */
  let message = {};
  try {
    message = data.json() ?? {};
  } catch {} // Browsers require a notification for each message.
  const { id, title, body, tag, lang, view, mute, token } = message;
  const shown = tag ? await worker.registration.getNotifications({ tag }) : [];
  const isRepeated = shown.some((/** @type {Notification} */ each) => each.data?.id === id);
  const actions = [];
  if (view) actions.push({ action: "view", title: view });
  if (mute && token) actions.push({ action: "mute", title: mute });
  await worker.registration.showNotification(title ?? settings.name, {
    body,
    tag,
    lang,
    actions,
    icon: settings.icon,
    badge: settings.badge,
    image: message.image ? await image(message.image) : undefined,
    renotify: Boolean(tag) && !isRepeated,
    silent: isRepeated,
    data: { id, token, url: message.url ?? "" },
  });
}

/**
 * @param {string} path below the mount point
 * @returns {Promise<string | undefined>} a data: URL; undefined: no session, no permission, or no image any more
 */
async function image(path) {
  try {
    const options = /** @type {RequestInit} */ ({ credentials: "same-origin", cache: "no-store", redirect: "error" });
    const response = await fetch(below(path), { ...options, signal: AbortSignal.timeout(IMAGE_MS) });
    const type = response.headers.get("Content-Type");
    const blob = response.ok && type === "image/jpeg" ? await response.blob() : null;
    if (!blob || blob.size > MAX_IMAGE_BYTES) return undefined;
    return await new Promise((done) => {
      const reader = new FileReader();
      reader.onloadend = () => done(typeof reader.result === "string" ? reader.result : undefined);
      reader.readAsDataURL(blob);
    });
  } catch {
    return undefined;
  }
}

/** @param {any} event */
async function click(event) {
  const { token, url } = event.notification.data ?? {};
  event.notification.close();
  if (event.action === "mute" && token) {
    const body = new URLSearchParams({ token });
    const response = await fetch(settings.mute, { method: "POST", body, credentials: "omit" }).catch(() => null);
    if (!response?.ok) await open(settings.notifications);
    return;
  }
  await open(below(url ?? ""));
}

/** @param {string} url */
async function open(url) {
  const pages = await worker.clients.matchAll({ type: "window" });
  const page = pages[0];
  if (!page) return worker.clients.openWindow(url);
  await page.focus();
  return page.navigate(url);
}

/**
 * @param {string} path from a message
 * @returns {string} an address below the mount point, whatever the message contains
 */
function below(path) {
  const { scope } = worker.registration;
  const url = new URL(path, scope).href;
  return url.startsWith(scope) ? url : scope;
}
