// Draws a timeline on a canvas. No state and no network.

import { ticksOf } from "./ticks.js";

/** @typedef {import("./timeline-data.js").Row} Row */
/** @typedef {import("./timeline-data.js").Range} Range */
/** @typedef {import("./timeline-data.js").TimelineEvent} TimelineEvent */

/**
 * @typedef {object} Scene
 * @property {number} widthPx in CSS pixels
 * @property {number} startMs
 * @property {number} endMs
 * @property {{ name: string, row: Row }[]} rows
 * @property {number | null} positionMs
 * @property {boolean} live
 * @property {number} nowMs
 * @property {Range | null} selection
 * @property {number | null} pointerMs
 */

/** @typedef {Record<"ink" | "soft" | "line" | "accent" | "paper" | "good" | "bad" | "wait", string>} Palette */

export const AXIS_PX = 24;
const ROW_PX = 40;
const NARROW_ROW_PX = 30;
const NAME_PX = 15;
const GAP_PX = 6;
const MIN_TICK_PX = 84;
const EVENT_PX = 5;
const MIN_RANGE_PX = 3;
const FONT = "system-ui, sans-serif";

/** Return the height in CSS pixels. @param {number} rows */
export function heightOf(rows) {
  return AXIS_PX + rows * rowHeight(rows) + GAP_PX;
}

/** @param {number} rows */
export function rowHeight(rows) {
  return rows > 1 ? NARROW_ROW_PX + NAME_PX : ROW_PX;
}

/**
 * @param {CanvasRenderingContext2D} pen scaled to CSS pixels
 * @param {Scene} scene
 * @param {Palette} palette
 */
export function drawTimeline(pen, scene, palette) {
  const { widthPx, startMs, endMs, rows } = scene;
  const heightPx = heightOf(rows.length);
  const x = (/** @type {number} */ ms) => ((ms - startMs) / (endMs - startMs)) * widthPx;
  pen.clearRect(0, 0, widthPx, heightPx);
  pen.textBaseline = "middle";
  rows.forEach(({ name, row }, index) => {
    const several = rows.length > 1;
    const topPx = AXIS_PX + index * rowHeight(rows.length) + (several ? NAME_PX : 0);
    if (several) write(pen, name, 2, topPx - NAME_PX / 2, palette.soft, 12);
    drawRow(pen, row, { topPx, heightPx: several ? NARROW_ROW_PX : ROW_PX, x, scene, palette });
  });
  drawAxis(pen, scene, x, heightPx, palette);
  drawNow(pen, scene, x, heightPx, palette);
  drawSelection(pen, scene, x, heightPx, palette);
  drawCursor(pen, scene, x, heightPx, palette);
}

/** Return the colour of a kind of event: a fixed one, or one derived from the name. @param {string} kind @param {Palette} palette */
function colourOf(kind, palette) {
  if (/motion|activity/.test(kind)) return palette.wait;
  if (/down|lost|fail|error|full|gap/.test(kind)) return palette.bad;
  if (/up|back|live/.test(kind)) return palette.good;
  let sum = 0;
  for (const letter of kind) sum = (sum * 31 + letter.charCodeAt(0)) % 360;
  return `hsl(${sum} 65% 50%)`;
}

/**
 * @typedef {{ topPx: number, heightPx: number, x: (ms: number) => number, scene: Scene, palette: Palette }} Place
 */

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Row} row
 * @param {Place} place
 */
function drawRow(pen, row, { topPx, heightPx, x, scene, palette }) {
  const { widthPx, startMs, endMs } = scene;
  pen.fillStyle = palette.line;
  pen.globalAlpha = 0.55;
  round(pen, 0, topPx, widthPx, heightPx);
  for (const span of row.spans) {
    if (span.endMs < startMs || span.startMs > endMs) continue;
    const from = Math.max(-4, x(span.startMs));
    const to = Math.min(widthPx + 4, Math.max(x(span.endMs), from + 1));
    pen.fillStyle = palette.accent;
    pen.globalAlpha = 0.32;
    round(pen, from, topPx, to - from, heightPx);
  }
  if (row.activity) {
    const { startMs: fromMs, stepMs, bitrateBps } = row.activity;
    const most = Math.max(1, ...bitrateBps);
    pen.fillStyle = palette.accent;
    pen.globalAlpha = 0.6;
    bitrateBps.forEach((bitrate, index) => {
      const left = x(fromMs + index * stepMs);
      const right = x(fromMs + (index + 1) * stepMs);
      if (right < 0 || left > widthPx || !bitrate) return;
      const barPx = (bitrate / most) * (heightPx - EVENT_PX - 5);
      pen.fillRect(left, topPx + heightPx - barPx, Math.max(1, right - left - 0.5), barPx);
    });
  }
  pen.globalAlpha = 1;
  for (const event of row.events) drawEvent(pen, event, { topPx, heightPx, x, scene, palette });
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {TimelineEvent} event
 * @param {Place} place
 */
function drawEvent(pen, event, { topPx, heightPx, x, scene, palette }) {
  const endMs = event.running ? scene.nowMs : event.endMs;
  const from = x(event.startMs);
  const to = Math.max(x(endMs), from + MIN_RANGE_PX);
  if (to < 0 || from > scene.widthPx) return;
  pen.fillStyle = colourOf(event.kind, palette);
  pen.globalAlpha = 0.28;
  pen.fillRect(from, topPx, to - from, heightPx);
  pen.globalAlpha = 1;
  pen.fillRect(from, topPx, to - from, EVENT_PX);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 * @param {(ms: number) => number} x
 * @param {number} heightPx
 * @param {Palette} palette
 */
function drawAxis(pen, { startMs, endMs, widthPx }, x, heightPx, palette) {
  for (const { atMs, label, isDay } of ticksOf(startMs, endMs, (MIN_TICK_PX / widthPx) * (endMs - startMs))) {
    const left = Math.round(x(atMs)) + 0.5;
    pen.globalAlpha = isDay ? 0.55 : 0.22;
    line(pen, left, AXIS_PX - 5, heightPx - GAP_PX, palette.soft);
    pen.globalAlpha = 1;
    pen.textAlign = "center";
    const half = pen.measureText(label).width / 2 + 2;
    const at = Math.min(widthPx - half, Math.max(half, left));
    if (Math.abs(at - left) < half) write(pen, label, at, AXIS_PX / 2 - 2, isDay ? palette.ink : palette.soft, 12, isDay);
    pen.textAlign = "start";
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 * @param {(ms: number) => number} x
 * @param {number} heightPx
 * @param {Palette} palette
 */
function drawNow(pen, { nowMs, endMs }, x, heightPx, palette) {
  if (nowMs > endMs) return;
  pen.setLineDash([3, 3]);
  line(pen, Math.round(x(nowMs)) + 0.5, AXIS_PX, heightPx - GAP_PX, palette.good);
  pen.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 * @param {(ms: number) => number} x
 * @param {number} heightPx
 * @param {Palette} palette
 */
function drawSelection(pen, { selection }, x, heightPx, palette) {
  if (!selection) return;
  const from = x(selection.startMs);
  const width = Math.max(1, x(selection.endMs) - from);
  pen.fillStyle = palette.good;
  pen.globalAlpha = 0.25;
  pen.fillRect(from, AXIS_PX, width, heightPx - AXIS_PX - GAP_PX);
  pen.globalAlpha = 1;
  for (const at of [from, from + width]) line(pen, at, AXIS_PX, heightPx - GAP_PX, palette.good, 2);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 * @param {(ms: number) => number} x
 * @param {number} heightPx
 * @param {Palette} palette
 */
function drawCursor(pen, { pointerMs, positionMs, live }, x, heightPx, palette) {
  if (pointerMs !== null) {
    pen.globalAlpha = 0.6;
    line(pen, Math.round(x(pointerMs)) + 0.5, AXIS_PX - 4, heightPx, palette.soft);
    pen.globalAlpha = 1;
  }
  if (positionMs === null) return;
  const at = x(positionMs);
  const colour = live ? palette.good : palette.bad;
  line(pen, at, AXIS_PX - 4, heightPx, colour, 2);
  pen.fillStyle = colour;
  pen.beginPath();
  pen.moveTo(at - 6, AXIS_PX - 8);
  pen.lineTo(at + 6, AXIS_PX - 8);
  pen.lineTo(at, AXIS_PX + 1);
  pen.fill();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} at
 * @param {number} from
 * @param {number} to
 * @param {string} colour
 * @param {number} [width]
 */
function line(pen, at, from, to, colour, width = 1) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.beginPath();
  pen.moveTo(at, from);
  pen.lineTo(at, to);
  pen.stroke();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} left
 * @param {number} top
 * @param {number} width
 * @param {number} height
 */
function round(pen, left, top, width, height) {
  pen.beginPath();
  pen.roundRect(left, top, width, height, Math.min(4, width / 2));
  pen.fill();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {string} text
 * @param {number} left
 * @param {number} middle
 * @param {string} colour
 * @param {number} size
 * @param {boolean} [bold]
 */
function write(pen, text, left, middle, colour, size, bold = false) {
  pen.font = `${bold ? 600 : 400} ${size}px ${FONT}`;
  pen.fillStyle = colour;
  pen.fillText(text, left, middle);
}
