// Shows the times of a page in the time zone of the browser, with 12 or 24 hours as its language has them. Without
// scripts, they are in the time zone of the server, which also decides where its days begin.

const lang = document.documentElement.lang;
/** The variant of the page's language that the browser prefers, such as en-GB. */
const locale = navigator.languages.find((each) => each.split("-")[0] === lang.split("-")[0]) ?? (lang || undefined);
const time = new Intl.DateTimeFormat(locale, { timeStyle: "medium" });
const datetime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const full = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const UPDATED_EVERY_MS = 15_000;

/**
 * @param {Date} when
 * @param {number} nowMs
 */
function sayRelative(when, nowMs) {
  const ms = when.getTime() - nowMs;
  const [unitMs, unit] = /** @type {[number, "minute" | "hour"]} */ (
    Math.abs(ms) < HOUR_MS ? [MINUTE_MS, "minute"] : [HOUR_MS, "hour"]
  );
  return Math.abs(ms) < DAY_MS ? relative.format(Math.trunc(ms / unitMs), unit) : datetime.format(when);
}

/**
 * @param {string} iso as the server has written it, with the offset of its time zone
 * @param {Date} when
 */
function isOtherDate(iso, when) {
  const parts = [when.getFullYear(), when.getMonth() + 1, when.getDate()];
  return iso.slice(0, 10) !== parts.map((part) => String(part).padStart(2, "0")).join("-");
}

function showTimes() {
  for (const shown of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-show]"))) {
    const when = new Date(shown.dateTime);
    if (Number.isNaN(when.getTime())) continue;
    const text =
      shown.dataset.show === "relative" ? sayRelative(when, Date.now())
      // Below a heading with the server's day, the time alone would belong to another day.
      : shown.dataset.show === "time" && !isOtherDate(shown.dateTime, when) ? time.format(when)
      : datetime.format(when);
    if (shown.textContent !== text) shown.textContent = text;
    if (!shown.title) shown.title = full.format(when);
  }
}

showTimes();
setInterval(showTimes, UPDATED_EVERY_MS);
