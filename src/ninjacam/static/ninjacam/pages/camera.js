// The page of one camera: health figures every two seconds, addresses to copy.

import { callApi } from "./api.js";
import { copy } from "./copy.js";
import { stateLabel } from "../player/strings.js";

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */

const EVERY_MS = 2000;
const root = /** @type {HTMLElement} */ (document.getElementById("camera"));
const player = /** @type {Player} */ (document.querySelector("ninjacam-player"));
const trouble = /** @type {HTMLElement} */ (document.getElementById("trouble"));
const list = /** @type {HTMLElement} */ (document.getElementById("findings"));
let shownFindings = "";
const { slug = "", view = "", lost = "" } = root.dataset;
const lang = document.documentElement.lang;
const number = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 });
const seconds = new Intl.NumberFormat(lang, { style: "unit", unit: "second", maximumFractionDigits: 1 });
const milliseconds = new Intl.NumberFormat(lang, { style: "unit", unit: "millisecond", maximumFractionDigits: 1 });
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

/** @param {{ level: string, message: string, advice: string, since: string }[]} findings */
function showFindings(findings) {
  list.hidden = !findings.length;
  list.replaceChildren(...findings.map(({ level, message, advice, since }) => {
    const item = document.createElement("li");
    const strong = document.createElement("strong");
    item.dataset.level = level;
    item.title = moment.format(new Date(since));
    strong.textContent = message;
    item.append(strong, ` ${advice}`);
    return item;
  }));
}

/** @param {any} camera CameraOut of the API */
function showCamera({ state, error, health }) {
  showTrouble([error, ...health.notices].flatMap((each) => each?.message ?? []).join(" "));
  const shown = JSON.stringify(health.findings);
  if (shown !== shownFindings) showFindings(health.findings); // A screen reader would read them again.
  shownFindings = shown;
  show("state", stateLabel(state));
  show("size", health.width_px ? `${health.width_px} × ${health.height_px} ${health.codec}` : "–");
  const declared = health.declared_fps ? ` / ${number.format(health.declared_fps)}` : "";
  show("fps", health.fps ? `${number.format(health.fps)}${declared}` : "–");
  show("bitrate", health.bitrate_bps ? `${number.format(health.bitrate_bps / 1e6)} Mbit/s` : "–");
  show("subscribers", String(health.subscribers));
  show("connected", health.connected_since ? moment.format(new Date(health.connected_since)) : "–");
  show("reconnects", String(health.reconnects));
  const loss = health.packet_loss ? ` (${percent.format(health.packet_loss)})` : "";
  show("packets_lost", `${health.packets_lost}${loss}`);
  show("key_interval", health.key_frame_interval_s ? seconds.format(health.key_frame_interval_s) : "–");
  show("jitter", health.jitter_s === null ? "–" : milliseconds.format(health.jitter_s * 1000));
  show("clock", health.clock_offset_s === null ? "–" : seconds.format(health.clock_offset_s || 0)); // never -0
}

/** @param {{ items: any[] }} page ViewPage of the API */
function showViews({ items }) {
  const list = document.getElementById("processors");
  for (const { view, state, fps, ms_p50, ms_p95, dropped, skipped_share } of items) {
    const item = list?.querySelector(`[data-view="${CSS.escape(view)}"]`);
    if (!list || !item) continue;
    const say = list.dataset;
    const figures = [
      fps ? `${number.format(fps)} ${say.fps}` : "",
      ms_p95 ? `${number.format(ms_p50)} – ${milliseconds.format(ms_p95)}` : "",
      dropped ? `${dropped} ${say.dropped}` : "",
      skipped_share ? `${percent.format(skipped_share)} ${say.saved}` : "",
    ];
    const [label, details] = item.querySelectorAll("span, small");
    label.textContent = say[state] ?? state;
    details.textContent = figures.filter(Boolean).join(" · ");
  }
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
    if (document.getElementById("processors")) await callApi(`cameras/${slug}/views`).then(showViews, () => undefined);
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
