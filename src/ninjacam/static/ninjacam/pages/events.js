// The page of events: plays clips in the cards, marks events as seen, keyboard, and new events.

import { ApiError, base, callApi } from "./api.js";
import { askBeforeSubmit, element, fill, hideMissing } from "./dom.js";

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
    this.gone = element(item, ".gone", HTMLElement);
    this.video = /** @type {HTMLVideoElement | null} */ (null);
    this.marking = Promise.resolve();
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
    video.addEventListener("playing", () => {
      video.classList.add("playing");
      if (!this.seen) this.mark(true);
    }, { once: true }); // The user may mark it as unseen while it repeats.
    video.addEventListener("error", () => {
      if (this.video !== video) return;
      this.stop();
      this.gone.hidden = false;
    });
    this.video = video;
    this.picture.prepend(video);
    video.play().catch(() => {}); // "error" reports a clip that cannot be played
  }

  stop() {
    if (Card.playing === this) Card.playing = null;
    this.video?.removeAttribute("src");
    this.video?.load(); // ends the download
    this.video?.remove();
    this.video = null;
  }

  /** @param {boolean} seen */
  mark(seen) {
    this.item.classList.toggle("seen", seen);
    this.marking = this.marking.then(() => this.send(seen)); // in the order in which the user has decided
  }

  /** @param {boolean} seen */
  async send(seen) {
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

const reducesMotion = matchMedia("(prefers-reduced-motion: reduce)");
for (const card of cards) {
  let timer = 0;
  card.picture.querySelectorAll("img").forEach(hideMissing);
  card.picture.addEventListener("pointerenter", (event) => {
    if (event.pointerType === "mouse" && !reducesMotion.matches) timer = window.setTimeout(() => card.play(), HOVER_MS);
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
    if (!card.seen) card.mark(true);
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
  if (event.repeat && event.key !== "j" && event.key !== "k") return;
  const card = cardOf(target);
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === " " && card && target !== card.box) card.video ? card.stop() : card.play();
  else if (event.key === "s" && card) card.mark(!card.seen);
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
if (form) askBeforeSubmit(form);

// --- filters ---

// The mouse and the finger apply a choice at once. The keyboard changes a value several times until it is the wanted one:
// it applies it with Enter or the button.
let typed = false;
filters?.addEventListener("keydown", () => (typed = true), true);
filters?.addEventListener("pointerdown", () => (typed = false), true);
for (const field of /** @type {Iterable<HTMLInputElement>} */ (
  filters?.querySelectorAll("select[name=span], input[type=date], input[name=unseen]") ?? []
)) {
  field.addEventListener("change", () => {
    const day = /** @type {HTMLInputElement | null} */ (filters?.querySelector("input[type=date]"));
    if (day && field.name === "span") day.value = ""; // It would replace the period.
    if (!typed) filters?.requestSubmit();
  });
}
// A list of choices closes as a menu does.
const lists = /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.choice"));
for (const list of lists) {
  list.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !list.open) return;
    list.open = false;
    list.querySelector("summary")?.focus();
    event.stopPropagation();
  });
}
document.addEventListener("pointerdown", ({ target }) => {
  for (const list of lists) if (!list.contains(/** @type {Node} */ (target))) list.open = false;
});

// --- new events ---

const button = /** @type {HTMLButtonElement} */ (document.getElementById("new-events"));
const MAX_FRESH = 99; // further ones are only a "+"
const AGAIN_MS = 60_000;
const fresh = new Set();
button.addEventListener("click", () => location.assign(location.pathname + location.search));

function showNew() {
  button.hidden = fresh.size === 0;
  const count = fresh.size > MAX_FRESH ? `${MAX_FRESH}+` : fresh.size;
  button.textContent = fresh.size === 1 ? (button.dataset.one ?? "") : fill(button.dataset.many, { count });
}

/** @param {any} event EventOut of the API */
function refresh(event) {
  const card = cards.find(({ id }) => id === event.id);
  if (!card) return;
  if (event.end) card.item.querySelector(".now")?.remove();
  if (!event.snapshot_at) return;
  // The image was taken, or taken again, of a better moment.
  let image = card.picture.querySelector("img");
  if (!image) {
    image = new Image();
    image.alt = "";
    hideMissing(image);
    card.picture.querySelector(".no-picture")?.replaceWith(image);
  }
  const path = `${base}api/v1/events/${card.id}/snapshot.jpg`;
  image.src = `${path}?at=${encodeURIComponent(event.snapshot_at)}`;
  if (event.box) card.item.dataset.box = event.box.join(" ");
  card.zoom();
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
    if (fresh.size > MAX_FRESH) break;
    if ((!chosen.size || chosen.has(event.camera)) && !cards.some(({ id }) => id === event.id)) fresh.add(event.id);
  }
  showNew();
}

/** The stream of new events, while the page is visible: a browser has few connections for all of its tabs. */
class Stream {
  /** @param {string} since time of the page, ISO 8601 */
  constructor(since) {
    const kind = /** @type {HTMLInputElement | null} */ (filters?.querySelector("input[name=kind]"))?.value;
    this.since = since;
    this.query = kind ? `kind=${encodeURIComponent(kind)}` : "";
    this.source = /** @type {EventSource | null} */ (null);
    this.timer = 0;
  }

  follow() {
    this.close();
    if (document.visibilityState !== "visible") return;
    const source = new EventSource(`${base}api/v1/events/stream?${this.query}`);
    this.source = source;
    source.addEventListener("open", () => this.catchUp().catch(() => {}));
    source.addEventListener("error", () => {
      // Refused, for example because the user has too many streams. The browser only repeats lost connections.
      if (source.readyState === EventSource.CLOSED) this.timer = window.setTimeout(() => this.retry(), AGAIN_MS);
    });
    source.addEventListener("begun", ({ data }) => announce([JSON.parse(data)]));
    for (const name of ["changed", "ended"]) {
      source.addEventListener(name, ({ data }) => {
        const event = JSON.parse(data);
        if (event) refresh(event);
      });
    }
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  async retry() {
    try {
      await this.catchUp(); // so that new events appear also where there are no streams
    } catch (error) {
      if (error instanceof ApiError && ["not_authenticated", "forbidden"].includes(error.code)) return;
    }
    this.follow();
  }

  /** Announce what has happened since the page was made. */
  async catchUp() {
    const sinceMs = Date.parse(this.since);
    const end = new Date(Math.max(Date.now(), sinceMs) + 60_000).toISOString(); // also where this clock is slow
    const span = `start=${encodeURIComponent(this.since)}&end=${encodeURIComponent(end)}`;
    const page = await callApi(`events?limit=100&${span}&${this.query}`);
    announce(page.items.filter((/** @type {{ start: string }} */ { start }) => Date.parse(start) >= sinceMs));
  }
}

const { since } = filters?.dataset ?? {}; // absent where the page does not show the newest events
if (since) {
  const stream = new Stream(since);
  document.addEventListener("visibilitychange", () => stream.follow());
  stream.follow();
}
