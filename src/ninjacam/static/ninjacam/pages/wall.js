// The wall: shows the state and health of each camera in its tile, and changes views without reloading the page.

import { callApi } from "./api.js";
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
  for (const tile of document.querySelectorAll(".tile")) {
    const player = /** @type {HTMLElement} */ (tile.querySelector("ninjacam-player"));
    const link = /** @type {HTMLAnchorElement} */ (tile.querySelector("a"));
    const has = (player.dataset.views ?? "").split(" ").includes(chosen);
    if (has) player.setAttribute("view", chosen);
    else player.removeAttribute("view");
    link.search = has ? query : "";
  }
  history.replaceState(null, "", location.pathname + query);
});
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
