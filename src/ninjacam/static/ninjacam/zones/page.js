// The page of a camera's zones: connects the forms with the shapes on the image, and saves them by the API.

import { callApi } from "../pages/api.js";
import { element, fill } from "../pages/dom.js";
import { ShapeEditor } from "./editor.js";
import { formatPoints, parsePoints } from "./points.js";

/** @typedef {import("../player/player.js").NinjacamPlayer} Player */
/** @typedef {import("./editor.js").Kind} Kind */
/** @typedef {import("./editor.js").Shape} Shape */
/** @typedef {import("./points.js").Point} Point */
/** @typedef {{ key: string, item: HTMLLIElement, details: HTMLDetailsElement, form: HTMLFormElement, saved: string }} Card
 *  `saved`: the name that the server knows; "": it is new. */

const COLORS = ["#4aa8ff", "#ffb224", "#3ddc84", "#ff6b9d", "#b48cff", "#5ad1d1"];
const MASK_COLOR = "#8b97a5";
/** @type {Record<Kind, Point[]>} added by keyboard, where the mouse would draw */
const USUAL = {
  zone: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]],
  line: [[0.25, 0.5], [0.75, 0.5]],
  mask: [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]],
};

const root = element(document, "#zones", HTMLElement);
const stage = element(root, "[data-stage]", HTMLElement);
const list = element(root, "[data-list]", HTMLUListElement);
const hint = element(root, "[data-hint]", HTMLElement);
const empty = element(root, "[data-empty]", HTMLElement);
const removing = element(root, "[data-do=remove]", HTMLButtonElement);
const path = `cameras/${root.dataset.slug}/zones`;
/** @type {Record<string, string>} */
const strings = JSON.parse(document.getElementById("zones-strings")?.textContent ?? "{}");
/** @type {{ max_zones: number, max_points: number, min_points: Record<string, number> }} */
const limits = JSON.parse(document.getElementById("zones-limits")?.textContent ?? "{}");
/** @type {ShapeEditor} */
const editor = new ShapeEditor(element(root, "[data-shapes]", SVGSVGElement), limits, describePoint);
const blank = element(list, "[data-new]", HTMLLIElement);
/** @type {Map<string, Card>} */
const cards = new Map();
let keys = 0;

/**
 * @param {Point} point
 * @param {number} number
 * @param {number} count
 */
function describePoint([x, y], number, count) {
  return fill(strings.point, { number, count, x: Math.round(x * 100), y: Math.round(y * 100) });
}

/**
 * @param {HTMLLIElement} item
 * @param {string} saved
 * @returns {Card}
 */
function adopt(item, saved) {
  const card = {
    key: `shape-${(keys += 1)}`, item, saved, details: element(item, "details", HTMLDetailsElement),
    form: element(item, "form", HTMLFormElement),
  };
  cards.set(card.key, card);
  card.details.addEventListener("toggle", () => card.details.open && choose(card.key));
  card.form.addEventListener("input", () => showEntered(card));
  card.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    void (button?.name === "delete" ? removeCard(card) : save(card));
  });
  editor.put(card.key, shapeOf(card));
  if (card.details.open) choose(card.key);
  return card;
}

/**
 * @param {Card} card
 * @param {string} name
 */
function field({ form }, name) {
  return /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
}

/** @param {Card} card @returns {Shape} */
function shapeOf(card) {
  return {
    name: field(card, "name").value || strings.unnamed || "",
    kind: /** @type {Kind} */ (field(card, "kind").value),
    color: field(card, "color").value,
    points: parsePoints(field(card, "points").value) ?? [],
  };
}

/** @param {Card} card */
function showEntered(card) {
  const shape = shapeOf(card);
  editor.put(card.key, shape);
  element(card.details, "[data-title]", HTMLElement).textContent = shape.name;
  element(card.details, "[data-kind]", HTMLElement).textContent = strings[shape.kind] ?? shape.kind;
  element(card.details, "summary rect", SVGElement).setAttribute("fill", shape.color);
  say(card, "", "");
  markSaved(card, false);
}

/**
 * @param {Card} card
 * @param {boolean} isSaved
 */
function markSaved(card, isSaved) {
  element(card.details, "[data-unsaved]", HTMLElement).hidden = isSaved;
}

/** @param {Card} card */
function isUnsaved(card) {
  return !element(card.details, "[data-unsaved]", HTMLElement).hidden;
}

/**
 * @param {Card} card
 * @param {string} error
 * @param {string} note
 */
function say(card, error, note) {
  element(card.form, "[data-error]", HTMLElement).textContent = error;
  element(card.form, "[data-note]", HTMLElement).textContent = note;
}

/** @param {string} key */
function choose(key) {
  editor.select(key);
  hint.textContent = strings.selected ?? "";
}

/** @param {Card} card */
async function save(card) {
  const values = Object.fromEntries(new FormData(card.form));
  const points = parsePoints(String(values.points ?? ""));
  const least = limits.min_points[String(values.kind)] ?? 2;
  if (!points) return say(card, strings.unreadable ?? "", "");
  if (points.length < least) return say(card, fill(strings.too_few_points, { count: least }), "");
  const body = {
    name: values.name, kind: values.kind, color: values.color, preset: values.preset ?? "", points,
    inertia_s: Number(values.inertia_s), loitering_s: Number(values.loitering_s),
  };
  try {
    const zone = await (card.saved
      ? callApi(`${path}/${card.saved}`, body, "PATCH")
      : callApi(path, body));
    card.saved = zone.name;
    card.details.id = `zone-${zone.name}`;
    field(card, "zone").value = zone.name;
    markSaved(card, true);
    say(card, "", strings.saved ?? "");
  } catch (error) {
    say(card, /** @type {Error} */ (error).message, "");
  }
}

/** @param {Card} card */
async function removeCard(card) {
  if (card.saved) {
    if (!confirm(fill(strings.delete, { name: card.saved }))) return;
    try {
      await callApi(`${path}/${card.saved}`, {}, "DELETE");
    } catch (error) {
      return say(card, /** @type {Error} */ (error).message, "");
    }
  }
  cards.delete(card.key);
  editor.remove(card.key);
  card.item.remove();
  empty.hidden = cards.size > 0;
  hint.textContent = strings.idle ?? "";
}

/**
 * @param {Kind} kind
 * @param {Point[]} points
 */
function addCard(kind, points) {
  const item = /** @type {HTMLLIElement} */ (blank.cloneNode(true));
  const number = keys + 1;
  for (const each of item.querySelectorAll("[id], [for], [aria-describedby]")) {
    for (const name of ["id", "for", "aria-describedby"]) {
      const text = each.getAttribute(name);
      if (text) each.setAttribute(name, text.replace("id_new_", `id_new${number}_`)); // Several may be new.
    }
  }
  list.append(item);
  const form = element(item, "form", HTMLFormElement);
  /** @type {Record<string, string>} */
  const values = { name: freeName(kind), kind, color: nextColor(kind), points: formatPoints(points) };
  for (const [name, value] of Object.entries(values)) {
    /** @type {HTMLInputElement} */ (form.elements.namedItem(name)).value = value;
  }
  element(form, "[name=delete]", HTMLButtonElement).hidden = false;
  element(form, ".as-text", HTMLDetailsElement).open = false;
  const card = adopt(item, "");
  showEntered(card);
  empty.hidden = true;
  card.details.open = true;
  choose(card.key);
  field(card, "name").select();
}

/** @param {Kind} kind */
function freeName(kind) {
  const taken = new Set([...cards.values()].map((card) => field(card, "name").value));
  for (let number = 1; ; number += 1) if (!taken.has(`${kind}-${number}`)) return `${kind}-${number}`;
}

/** @param {Kind} kind */
function nextColor(kind) {
  return kind === "mask" ? MASK_COLOR : (COLORS[cards.size % COLORS.length] ?? MASK_COLOR);
}

/**
 * @param {Kind} kind
 * @param {boolean} byKeyboard
 */
function startAdding(kind, byKeyboard) {
  if (cards.size >= limits.max_zones) {
    hint.textContent = fill(strings.too_many, { count: limits.max_zones });
  } else if (byKeyboard) {
    addCard(kind, USUAL[kind]);
  } else {
    for (const card of cards.values()) card.details.open = false;
    editor.draw(kind, nextColor(kind));
    hint.textContent = strings[`draw_${kind}`] ?? "";
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function setAspect(width, height) {
  root.style.setProperty("--aspect", String(width / height));
}

function fitToVideo() {
  const player = /** @type {Player} */ (element(stage, "ninjacam-player", HTMLElement));
  setAspect(Number(root.dataset.width), Number(root.dataset.height));
  let shown = "";
  player.onframe = (_image, { width, height }) => {
    if (shown === `${width}x${height}` || !height) return;
    shown = `${width}x${height}`;
    setAspect(width, height);
  };
}

async function offerPresets() {
  if (root.dataset.hasDevice === undefined) return;
  const found = await callApi(`cameras/${root.dataset.slug}/ptz`).catch(() => null); // It may take no commands now.
  const options = (found?.presets ?? []).map((/** @type {any} */ each) => new Option(each.name, each.token));
  document.getElementById("presets")?.replaceChildren(...options);
}

editor.onselect = (key) => {
  const card = cards.get(key);
  if (card) card.details.open = true;
  choose(key);
};
editor.onchange = (key, points) => {
  const card = cards.get(key);
  if (!card) return;
  field(card, "points").value = formatPoints(points);
  say(card, "", "");
  markSaved(card, false);
};
editor.onpoint = (canRemove) => (removing.disabled = !canRemove);
editor.ondrawn = addCard;
editor.oncancel = () => (hint.textContent = strings.idle ?? "");
removing.addEventListener("click", () => editor.removePoint());
for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (root.querySelectorAll("[data-add]"))) {
  const kind = /** @type {Kind} */ (button.dataset.add);
  button.addEventListener("click", (event) => startAdding(kind, event.detail === 0));
}
addEventListener("beforeunload", (event) => [...cards.values()].some(isUnsaved) && event.preventDefault());

blank.remove();
for (const item of /** @type {NodeListOf<HTMLLIElement>} */ (list.querySelectorAll(":scope > li"))) {
  adopt(item, element(item, "form", HTMLFormElement).dataset.name ?? "");
}
const linked = document.getElementById(location.hash.slice(1));
if (linked instanceof HTMLDetailsElement) linked.open = true;
hint.textContent = strings.idle ?? "";
element(root, "[data-tools]", HTMLElement).hidden = false;
fitToVideo();
void offerPresets();
