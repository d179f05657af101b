// The divisions of a time axis, in the browser's zone and language.

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * 1000),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR_MS),
  ...[1, 2, 7, 14].map((days) => days * DAY_MS),
];
const seconds = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/**
 * @param {number} startMs
 * @param {number} endMs
 * @param {number} leastMs minimum distance of two ticks
 * @returns {{ atMs: number, label: string, isDay: boolean }[]}
 */
export function ticksOf(startMs, endMs, leastMs) {
  const step = STEPS_MS.find((each) => each >= leastMs) ?? 28 * DAY_MS;
  const ticks = [];
  for (let atMs = firstTick(startMs, step); atMs <= endMs; atMs = nextTick(atMs, step)) {
    const when = new Date(atMs);
    const isDay = when.getHours() + when.getMinutes() + when.getSeconds() === 0;
    const form = isDay ? days : step < MINUTE_MS ? seconds : minutes;
    ticks.push({ atMs, label: form.format(when), isDay });
  }
  return ticks;
}

/**
 * @param {number} startMs
 * @param {number} step
 */
function firstTick(startMs, step) {
  const day = new Date(startMs);
  day.setHours(0, 0, 0, 0);
  if (step >= DAY_MS) {
    const dayNumber = Math.round((day.getTime() - day.getTimezoneOffset() * MINUTE_MS) / DAY_MS);
    day.setDate(day.getDate() - (dayNumber % Math.round(step / DAY_MS)));
  }
  let atMs = day.getTime();
  if (step < HOUR_MS) atMs += Math.floor((startMs - atMs) / step) * step; // no zone is off by less than 15 minutes
  while (atMs < startMs) atMs = nextTick(atMs, step);
  return atMs;
}

/**
 * @param {number} atMs
 * @param {number} step
 */
function nextTick(atMs, step) {
  if (step < HOUR_MS) return atMs + step;
  const next = new Date(atMs);
  if (step < DAY_MS) next.setHours(next.getHours() + step / HOUR_MS); // also where a day has 23 or 25 of them
  else next.setDate(next.getDate() + step / DAY_MS);
  return Math.max(next.getTime(), atMs + HOUR_MS);
}
