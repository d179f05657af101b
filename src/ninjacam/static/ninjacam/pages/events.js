// The page of events: plays clips in the cards, marks events as seen, keyboard, and new events.

import { callApi } from "./api.js";
import { element, fill } from "./dom.js";

const HOVER_MS = 350; // a pointer that only passes over a card loads no clip
const MAX_ZOOM = 3;
const OBJECT_SHARE = 0.5; // of the picture, which a small object should fill

/** One card. At most one of all plays. */
class Card {
  /** @type {Card | null} */
  static playing = null;

  /** @param {HTMLElement} item */
  constructor(item) {
    this.item = item;
    this.id = Number(item.dataset.event);
    this.picture = element(item, ".picture", HTMLElement);
    this.box = element(item, "input[name=event]", HTMLInputElement);
    this.link = item.querySelector("a");
    this.video = /** @type {HTMLVideoElement | null} */ (null);
    this.zoom();
  }

  get seen() {
    return this.item.classList.contains("seen");
  }

  /** Enlarge the part of the image that contains the object. */
  zoom() {
    const image = this.picture.querySelector("img");
    const [left, top, right, bottom] = (this.item.dataset.box ?? "").split(" ").map(Number);
    if (!image || bottom === undefined || !(right > left && bottom > top)) return;
    const scale = Math.min(MAX_ZOOM, Math.max(1, OBJECT_SHARE / Math.max(right - left, bottom - top)));
    // A point near the edge stays where it is, so nothing outside the image becomes visible.
    image.style.transformOrigin = `${50 * (left + right)}% ${50 * (top + bottom)}%`;
    image.style.transform = `scale(${scale})`;
  }

  play() {
    const { clip } = this.item.dataset;
    if (!clip || this.video) return;
    Card.playing?.stop();
    Card.playing = this;
    const video = document.createElement("video");
    Object.assign(video, { src: clip, muted: true, loop: true, playsInline: true });
    video.addEventListener("playing", () => video.classList.add("playing"));
    video.addEventListener("error", () => this.stop());
    this.video = video;
    this.picture.prepend(video);
    video.play().catch(() => {}); // "error" reports a clip that cannot be played
    if (!this.seen) void this.mark(true);
  }

  stop() {
    if (Card.playing === this) Card.playing = null;
    this.video?.removeAttribute("src");
    this.video?.load(); // ends the download
    this.video?.remove();
    this.video = null;
  }

  /** @param {boolean} seen */
  async mark(seen) {
    this.item.classList.toggle("seen", seen);
    try {
      await callApi("events/seen", { ids: [this.id], seen });
      showError("");
    } catch (error) {
      this.item.classList.toggle("seen", !seen);
      showError(error instanceof TypeError ? (form?.dataset.lost ?? "") : String(/** @type {Error} */ (error).message));
    }
  }
}

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("events"));
const filters = /** @type {HTMLFormElement | null} */ (document.getElementById("filters"));
const cards = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".event"))].map(
  (item) => new Card(item),
);

/** @param {EventTarget | null} target */
function cardOf(target) {
  const item = target instanceof Element ? target.closest(".event") : null;
  return cards.find((card) => card.item === item);
}

/** @param {string} message */
function showError(message) {
  const place = document.getElementById("events-error");
  if (!place) return;
  place.hidden = !message;
  place.textContent = message;
}

for (const card of cards) {
  let timer = 0;
  card.picture.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse") timer = window.setTimeout(() => card.play(), HOVER_MS);
  });
  card.picture.addEventListener("pointerleave", (event) => {
    if (event.pointerType !== "mouse") return;
    clearTimeout(timer);
    card.stop();
  });
  card.picture.addEventListener("click", (event) => {
    const { pointerType } = /** @type {PointerEvent} */ (event);
    if (pointerType === "mouse") card.link?.click();
    else if (card.video) card.stop();
    else card.play();
  });
  card.link?.addEventListener("click", () => {
    if (!card.seen) void card.mark(true);
  });
}

// --- keyboard ---

/** @param {number} step */
function move(step) {
  const present = cards.findIndex((card) => card.item.contains(document.activeElement));
  const next = cards[present < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, present + step))];
  (next?.link ?? next?.box)?.focus();
  next?.item.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {Element} */ (event.target);
  const typing = target.closest("input:not([type=checkbox]), select, textarea, summary, button");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const card = cardOf(target);
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === " " && card && target !== card.box) card.video ? card.stop() : card.play();
  else if (event.key === "s" && card) void card.mark(!card.seen);
  else if (event.key === "x" && card) card.box.checked = !card.box.checked;
  else if (event.key === "Escape") Card.playing?.stop();
  else return;
  event.preventDefault();
});

// --- several events at once ---

const all = /** @type {HTMLInputElement | null} */ (document.getElementById("choose-all"));
all?.addEventListener("change", () => {
  for (const card of cards) card.box.checked = all.checked;
});
form?.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
for (const field of filters?.querySelectorAll("select, input[type=date], input[name=unseen]") ?? []) {
  field.addEventListener("change", () => filters?.requestSubmit());
}

// --- new events ---

const button = /** @type {HTMLButtonElement} */ (document.getElementById("new-events"));
const fresh = new Set();
button.addEventListener("click", () => location.assign(location.pathname + location.search));

function showNew() {
  button.hidden = fresh.size === 0;
  button.textContent = fresh.size === 1 ? (button.dataset.one ?? "") : fill(button.dataset.many, { count: fresh.size });
}

/** @param {any} event EventOut of the API */
function refresh(event) {
  const card = cards.find(({ id }) => id === event.id);
  const image = card?.picture.querySelector("img");
  // The image was taken again, of a better moment.
  if (card && image && event.snapshot_at) image.src = `${image.src.split("?")[0]}?at=${encodeURIComponent(event.snapshot_at)}`;
}

/**
 * Announce events that are not on the page.
 * @param {any[]} events EventOut of the API
 */
function announce(events) {
  const chosen = new Set(
    [...(filters?.querySelectorAll("input[name=camera]:checked") ?? [])].map(
      (box) => /** @type {HTMLInputElement} */ (box).value,
    ),
  );
  for (const event of events) {
    if ((!chosen.size || chosen.has(event.camera)) && !cards.some(({ id }) => id === event.id)) fresh.add(event.id);
  }
  showNew();
}

const { since } = filters?.dataset ?? {}; // absent where the page does not show the newest events
if (since) {
  const kind = /** @type {HTMLInputElement | null} */ (filters?.querySelector("input[name=kind]"))?.value;
  const query = kind ? `kind=${encodeURIComponent(kind)}` : "";
  const stream = new EventSource(`${document.body.dataset.base ?? "/"}api/v1/events/stream?${query}`);
  stream.addEventListener("open", async () => {
    // What has happened between the page and the stream.
    const end = encodeURIComponent(new Date(Date.now() + 60_000).toISOString());
    const page = await callApi(`events?limit=100&start=${encodeURIComponent(since)}&end=${end}&${query}`).catch(() => null);
    announce((page?.items ?? []).filter((/** @type {{ start: string }} */ { start }) => Date.parse(start) >= Date.parse(since)));
  });
  stream.addEventListener("begun", ({ data }) => announce([JSON.parse(data)]));
  for (const name of ["changed", "ended"]) {
    stream.addEventListener(name, ({ data }) => {
      const event = JSON.parse(data);
      if (event) refresh(event);
    });
  }
}
