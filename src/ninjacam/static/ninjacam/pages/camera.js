// The page of one camera: health figures every two seconds, addresses to copy.

import { callApi } from "./api.js";
import { copy } from "./copy.js";
import { stateLabel } from "../player/strings.js";

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */

const EVERY_MS = 2000;
const root = /** @type {HTMLElement} */ (document.getElementById("camera"));
const player = /** @type {Player} */ (document.querySelector("ninjacam-player"));
const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble"));
const { slug = "", view = "", lost = "" } = root.dataset;
const lang = document.documentElement.lang;
const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(lang, { dateStyle: "short", timeStyle: "medium" });

/**
 * @param {string} name
 * @param {string} text
 */
function show(name, text) {
  const element = document.querySelector(`[data-figure=${name}]`);
  if (element && element.textContent !== text) element.textContent = text;
}

/** @param {string} text */
function showTrouble(text) {
  trouble.hidden = !text;
  if (trouble.textContent !== text) trouble.textContent = text;
}

/** @param {any} camera CameraOut of the API */
function showCamera({ state, error, health }) {
  showTrouble([error, ...health.notices].flatMap((each) => each?.message ?? []).join(" "));
  show("state", stateLabel(state));
  show("size", health.width_px ? `${health.width_px} × ${health.height_px} ${health.codec}` : "–");
  show("fps", health.fps ? number.format(health.fps) : "–");
  show("bitrate", health.bitrate_bps ? `${number.format(health.bitrate_bps / 1e6)} Mbit/s` : "–");
  show("subscribers", String(health.subscribers));
  show("connected", health.connected_since ? moment.format(new Date(health.connected_since)) : "–");
  show("reconnects", String(health.reconnects));
  show("packets_lost", String(health.packets_lost));
}

function showPlayer() {
  const { rung, stream, fps, width, height, latencyMs } = player.stats;
  if (!rung) return;
  const age = latencyMs === null ? "" : `, ${Math.round(latencyMs)} ms`;
  const name = stream ? `${stream}, ` : "";
  show("player", `${name}${width} × ${height}, ${number.format(fps)}/s, ${rung}${age}`);
}

async function refresh() {
  if (document.visibilityState === "visible") {
    showPlayer();
    await callApi(`cameras/${slug}`).then(showCamera, () => showTrouble(lost));
  }
  setTimeout(refresh, EVERY_MS);
}

/** @param {HTMLButtonElement} button */
async function sign(button) {
  const input = /** @type {HTMLInputElement} */ (document.getElementById(button.dataset.copy ?? ""));
  const failure = /** @type {HTMLElement} */ (document.getElementById("sign-error"));
  failure.hidden = true;
  try {
    input.value = (await callApi("links", { camera: slug, kind: "mjpeg", view })).url;
    await copy(button);
  } catch (error) {
    failure.textContent = /** @type {Error} */ (error).message;
    failure.hidden = false;
  }
}

const signing = /** @type {HTMLButtonElement} */ (document.getElementById("sign"));
signing.addEventListener("click", () => sign(signing));
void customElements.whenDefined("ninjacam-player").then(refresh);
