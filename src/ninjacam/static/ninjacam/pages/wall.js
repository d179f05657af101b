// The wall: sizes its tiles, enlarges one of them, shows the state and health of each camera, and changes views without
// reloading the page.

import { callApi } from "./api.js";
import { arrange } from "./arrange.js";
import { element } from "./dom.js";
import { stateLabel } from "../player/strings.js";

document.addEventListener("ninjacam-state", (event) => {
  const { state } = /** @type {CustomEvent<{ state: string }>} */ (event).detail;
  const tile = /** @type {HTMLElement} */ (event.target).closest(".tile");
  const pill = /** @type {HTMLElement | null} */ (tile?.querySelector("[data-state]") ?? null);
  if (!pill || state === "idle") return;
  pill.hidden = false;
  pill.dataset.is = state;
  pill.textContent = stateLabel(state);
});

const form = /** @type {HTMLFormElement | null} */ (document.getElementById("views"));
const select = /** @type {HTMLSelectElement | null} */ (document.getElementById("view"));

select?.addEventListener("change", () => {
  const chosen = select.value;
  const query = chosen ? `?view=${encodeURIComponent(chosen)}` : "";
  const layout = new URLSearchParams(location.search).get("layout");
  for (const tile of document.querySelectorAll(".tile")) {
    const player = /** @type {HTMLElement} */ (tile.querySelector("ninjacam-player"));
    const link = /** @type {HTMLAnchorElement} */ (tile.querySelector("a"));
    const has = (player.dataset.views ?? "").split(" ").includes(chosen);
    if (has) player.setAttribute("view", chosen);
    else player.removeAttribute("view");
    link.search = has ? query : "";
  }
  const kept = layout ? `layout=${encodeURIComponent(layout)}` : "";
  history.replaceState(null, "", location.pathname + (query && kept ? `${query}&${kept}` : query || (kept && `?${kept}`)));
});
document.getElementById("layout")?.addEventListener("change", () => form?.submit());
form?.addEventListener("submit", (event) => event.preventDefault());

const HEALTH_EVERY_MS = 30_000;

/** @param {any[]} cameras CameraOut of the API */
function showHealth(cameras) {
  for (const { slug, health } of cameras) {
    const pill = /** @type {HTMLElement | null} */ (document.querySelector(`[data-finding][data-slug="${slug}"]`));
    const finding = health.findings.find((/** @type {{ level: string }} */ { level }) => level !== "info");
    if (!pill) continue;
    pill.hidden = !finding;
    pill.dataset.is = finding?.level ?? "";
    pill.textContent = finding?.label ?? "";
    pill.title = finding?.message ?? "";
  }
}

async function refreshHealth() {
  let next = "";
  do {
    const page = await callApi(`cameras?limit=100${next && `&after=${encodeURIComponent(next)}`}`);
    showHealth(page.items);
    next = page.next ?? "";
  } while (next);
}

setInterval(() => {
  if (document.visibilityState === "visible") refreshHealth().catch(() => {}); // The players report a lost server.
}, HEALTH_EVERY_MS);

// --- sizes ---

const SIZES = { gapPx: 16, namePx: 50 };
const MIN_TILE_PX = 300; // below this width, the page scrolls instead
const wall = /** @type {HTMLElement | null} */ (document.querySelector(".wall"));

function arrangeTiles() {
  if (!wall) return;
  const isFull = document.fullscreenElement === wall;
  const style = getComputedStyle(wall);
  const widthPx = wall.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const below = getComputedStyle(isFull ? wall : element(document, "main", HTMLElement)).paddingBottom;
  const abovePx = isFull ? parseFloat(style.paddingTop) : wall.getBoundingClientRect().top + scrollY;
  const heightPx = innerHeight - abovePx - parseFloat(below);
  const { columns, tilePx } = arrange(wall.children.length, widthPx, heightPx, SIZES);
  const fits = tilePx >= MIN_TILE_PX && !wall.querySelector(".large");
  wall.style.setProperty("--columns", fits ? String(columns) : "");
  wall.style.setProperty("--tile", fits ? `${tilePx}px` : "");
}

/**
 * Enlarge a tile without a new connection, or none.
 * @param {HTMLElement | null} chosen
 */
function enlarge(chosen) {
  for (const tile of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".tile"))) {
    tile.classList.toggle("large", tile === chosen);
    tile.querySelector("[data-enlarge]")?.setAttribute("aria-pressed", String(tile === chosen));
  }
  arrangeTiles();
  chosen?.scrollIntoView({ block: "nearest" });
}

if (wall) {
  new ResizeObserver(arrangeTiles).observe(document.documentElement);
  document.addEventListener("fullscreenchange", arrangeTiles);
  wall.addEventListener("click", (event) => {
    const button = /** @type {Element} */ (event.target).closest("[data-enlarge]");
    const tile = /** @type {HTMLElement | null} */ (button?.closest(".tile") ?? null);
    if (tile) enlarge(tile.classList.contains("large") ? null : tile);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") enlarge(null);
  });
  const full = document.getElementById("full-wall");
  if (full) full.hidden = !document.fullscreenEnabled; // An iPhone has none for elements.
  full?.addEventListener("click", () => void wall.requestFullscreen());
}
