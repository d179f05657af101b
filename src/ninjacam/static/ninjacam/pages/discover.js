// The page "Find cameras": starts a search, shows devices as they appear, and adds them.
// All texts of devices come from the network. They are only ever set as text, never as markup.

import { base, callApi, post } from "./api.js";
import { element, fill, listItem, showTexts } from "./dom.js";
import { readEvents } from "./event-stream.js";
import { drawJpeg } from "./jpeg-canvas.js";

/**
 * @typedef {{ url: string, name: string, state: string, codec: string, width_px: number, height_px: number }} Stream
 * @typedef {{ address: string, kind: string, title: string, slug: string, maker: string, model: string,
 *   certainty_word: string, reasons: string[], needs_password: boolean | null, streams: Stream[],
 *   onvif_url: string, camera: string | null }} Device
 */

const form = element(document, "#discover", HTMLFormElement);
const start = element(form, "#start", HTMLButtonElement);
const cancel = element(form, "#cancel", HTMLButtonElement);
const progress = element(form, "#progress", HTMLProgressElement);
const status = element(form, "#status", HTMLElement);
const list = element(document, "#found", HTMLUListElement);
const template = element(document, "#device", HTMLTemplateElement);
/** @type {Record<string, string>} */
const strings = JSON.parse(document.getElementById("discover-strings")?.textContent ?? "{}");
/** @type {Map<string, HTMLLIElement>} */
const cards = new Map();
/** @type {Map<string, Device>} what was last reported of each device */
const known = new Map();
/** @type {AbortController | null} */
let running = null;
/** How many devices respond. */
let alive = 0;

async function search() {
  running = new AbortController();
  start.disabled = true;
  cancel.hidden = progress.hidden = false;
  progress.removeAttribute("value");
  status.className = "help";
  status.textContent = strings.searching ?? "";
  list.replaceChildren();
  cards.clear();
  known.clear();
  alive = 0;
  try {
    const body = { network: element(form, "#network", HTMLInputElement).value.trim() };
    const response = await post("discovery", body, running.signal);
    for await (const { kind, data } of readEvents(response)) handle(kind, data);
  } catch (error) {
    const message = running.signal.aborted ? strings.cancelled : /** @type {Error} */ (error).message;
    say(message || strings.failed || "", !running.signal.aborted);
  } finally {
    running = null;
    start.disabled = false;
    cancel.hidden = progress.hidden = true;
  }
}

/**
 * @param {string} kind
 * @param {any} data
 */
function handle(kind, data) {
  if (kind === "progress") {
    progress.value = Math.min(1, data.elapsed_s / data.timeout_s);
    alive = data.alive;
    showProgress();
  } else if (kind === "device") {
    showDevice(data);
    showProgress();
  }
  if (kind === "image") void showImage(data.address, data.jpeg_base64);
  else if (kind === "error") say(data.message, true);
  else if (kind === "done") say(fill(cards.size ? strings.done : strings.nothing, { found: cards.size }), false);
}

function showProgress() {
  status.textContent = fill(strings.progress, { alive: Math.max(alive, cards.size), found: cards.size });
}

/**
 * @param {string} text
 * @param {boolean} isError
 */
function say(text, isError) {
  status.className = isError ? "error" : "help";
  status.textContent = text;
}

/** @param {Device} device */
function showDevice(device) {
  known.set(device.address, device);
  let card = cards.get(device.address);
  if (!card) {
    card = listItem(template);
    const add = element(card, "form", HTMLFormElement);
    const own = card;
    add.addEventListener("submit", (event) => {
      event.preventDefault();
      void addCamera(own, add, known.get(device.address) ?? device);
    });
    cards.set(device.address, card);
    list.append(card);
  }
  element(card, "h2", HTMLElement).textContent = device.title;
  const what = [device.maker, device.model].filter(Boolean).join(" ");
  const kind = strings[device.kind] ?? device.kind;
  const locked = device.needs_password ? strings.locked : "";
  const facts = [device.address, kind, what, device.certainty_word, locked].filter(Boolean);
  element(card, ".device-what", HTMLElement).textContent = facts.join(" · ");
  showTexts(element(card, ".device-why", HTMLElement), device.reasons);
  if (device.camera) showKnown(card, device.camera);
  else showForm(element(card, "form", HTMLFormElement), device);
}

/**
 * @param {HTMLFormElement} add
 * @param {Device} device
 */
function showForm(add, device) {
  if (!device.streams.length || add.contains(document.activeElement)) return;
  const url = element(add, "[name=url]", HTMLSelectElement);
  url.replaceChildren(
    ...device.streams.map((stream) => {
      const size = stream.width_px ? `${stream.width_px} × ${stream.height_px}` : "";
      const about = [stream.name, stream.codec, size].filter(Boolean).join(", ");
      return new Option(`${about}: ${stream.url}`, stream.url);
    }),
  );
  const name = element(add, "[name=name]", HTMLInputElement);
  const slug = element(add, "[name=slug]", HTMLInputElement);
  if (name.value === name.defaultValue) name.value = name.defaultValue = device.title;
  if (slug.value === slug.defaultValue) slug.value = slug.defaultValue = device.slug;
  for (const field of add.querySelectorAll(".login-field")) {
    if (field instanceof HTMLElement) field.hidden = device.needs_password === false;
  }
  add.hidden = false;
}

/**
 * @param {HTMLLIElement} card
 * @param {string} slug
 */
function showKnown(card, slug) {
  element(card, "form", HTMLFormElement).hidden = true;
  const link = element(card, ".device-known a", HTMLAnchorElement);
  link.href = `${base}cameras/${encodeURIComponent(slug)}/`;
  link.textContent = fill(strings.known, { camera: slug });
  element(card, ".device-known", HTMLElement).hidden = false;
}

/**
 * Add the camera with all its streams: those that it describes by ONVIF, else those that the search has seen.
 *
 * @param {HTMLLIElement} card
 * @param {HTMLFormElement} add
 * @param {Device} device
 */
async function addCamera(card, add, device) {
  const button = element(add, "button", HTMLButtonElement);
  const error = element(add, ".error", HTMLElement);
  const values = new FormData(add);
  /** @type {Record<string, unknown>} */
  const body = {};
  for (const name of ["name", "slug", "url", "username", "password"]) body[name] = String(values.get(name) ?? "");
  button.disabled = true;
  error.textContent = "";
  try {
    const note = device.onvif_url ? await readStreams(device, body) : addSeenStreams(device, body);
    const camera = await callApi("cameras", body);
    showKnown(card, camera.slug);
    element(card, ".device-note", HTMLElement).textContent = note;
  } catch (reason) {
    error.textContent = /** @type {Error} */ (reason).message;
  } finally {
    button.disabled = false;
  }
}

/**
 * Ask the device for its streams. Return why it could not be asked; the camera is then added with the chosen one.
 *
 * @param {Device} device
 * @param {Record<string, unknown>} body
 */
async function readStreams(device, body) {
  const { url, username, password } = body;
  try {
    const found = await callApi("cameras/probe/device", { url, username, password, onvif_url: device.onvif_url });
    /** @type {{ stream: string | null, url: string }[]} */
    const usable = found.profiles.filter((/** @type {any} */ each) => each.url && !each.url.includes("***"));
    const named = usable.filter((each) => each.stream);
    body.url = named.find((each) => each.stream === "main")?.url ?? url;
    body.streams = named.flatMap((each) => (each.stream === "main" ? [] : [{ name: each.stream, url: each.url }]));
    body.onvif_url = device.onvif_url;
    return "";
  } catch (reason) {
    return fill(strings.unread, { reason: /** @type {Error} */ (reason).message });
  }
}

/**
 * Add the streams that were seen without a password.
 *
 * @param {Device} device
 * @param {Record<string, unknown>} body
 */
function addSeenStreams(device, body) {
  const others = device.streams.filter((stream) => stream.state === "verified" && stream.url !== body.url);
  body.streams = others.map(({ url }, index) => ({ name: index ? `sub${index + 1}` : "sub", url }));
  return "";
}

/**
 * @param {string} address
 * @param {string} base64
 */
async function showImage(address, base64) {
  const place = cards.get(address)?.querySelector(".device-image");
  if (place) place.replaceChildren(await drawJpeg(base64));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) void search();
});
cancel.addEventListener("click", () => running?.abort());
start.disabled = false; // Before, the browser would submit the form itself.
