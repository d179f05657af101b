// The player's texts in English. A page translates them with <script type="application/json" id="ninjacam-strings">.

export const strings = {
  idle: "",
  connecting: "Connecting …",
  live: "Live",
  stalled: "No new frames from the camera …",
  reconnecting: "Reconnecting …",
  asleep: "This camera is asleep.",
  failed: "No video from this camera.",
  disabled: "This camera is disabled.",
  unknown: "The camera engine is not running.",
  error: "This camera cannot be shown.",
  forbidden: "You may not view this camera.",
  not_found: "This camera does not exist.",
  view_not_found: "This camera has no such view.",
  not_authenticated: "Your session has ended. Log in again.",
  limit: "Too many viewers at the moment.",
  cannot_play: "This browser cannot play this camera.",
  not_wrapped: "This server does not serve live video.",
  blocked: "Press to play.",
  view_failed: "Error in this view:",
  age_live: "live {age}",
  age_old: "age {age}",
  camera: "Camera {camera}",
  camera_view: "Camera {camera}, {view}",
  seeking: "Searching the recording …",
  playing: "Recording",
  paused: "Paused",
  gap: "Nothing was recorded at this time.",
  ended: "Nothing was recorded after this time.",
  skipped: "Nothing was recorded until {time}.",
  stills_only: "This browser cannot play the codec of this recording. It shows single frames.",
  timeline: "Time of the recording",
  timeline_failed: "The timeline cannot be loaded. Retrying …",
  no_event: "There are no further events.",
  too_long: "Downloads are limited to one hour.",
  exporting: "Export: {state}",
  export_done: "Download the export",
  snapshot: "Save an image",
  fullscreen: "Full screen",
};

/** @typedef {keyof typeof strings} StringKey */

/** Use the page's translations. Texts without one stay English. */
export function adoptPageStrings() {
  const element = document.getElementById("ninjacam-strings");
  if (!element?.textContent) return;
  try {
    Object.assign(strings, JSON.parse(element.textContent));
  } catch {
    console.warn("ninjacam: the element #ninjacam-strings is not JSON.");
  }
}

/**
 * @param {StringKey} key
 * @param {Record<string, string>} [values]
 */
export function say(key, values = {}) {
  return strings[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return a short label of a state. @param {string} state */
export function stateLabel(state) {
  const text = /** @type {Record<string, string>} */ (strings)[state] ?? state;
  return text.replace(/[\s….]+$/, "");
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** Format a time in the browser's language. @param {Date | number | null} when */
export function sayMoment(when) {
  return when === null ? "" : moment.format(when);
}

/** @param {number} ageMs */
export function sayAge(ageMs) {
  const lang = document.documentElement.lang || undefined;
  const [value, unit, digits] =
    ageMs < 1000 ? [Math.round(ageMs / 10) * 10, "millisecond", 0]
    : ageMs < 10_000 ? [ageMs / 1000, "second", 1]
    : ageMs < 120_000 ? [ageMs / 1000, "second", 0]
    : ageMs < 7_200_000 ? [ageMs / 60_000, "minute", 0]
    : [ageMs / 3_600_000, "hour", 0];
  const options = /** @type {const} */ ({ style: "unit", unitDisplay: "short" });
  return new Intl.NumberFormat(lang, { ...options, unit: String(unit), maximumFractionDigits: Number(digits) })
    .format(Number(value));
}
