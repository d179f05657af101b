// The wall: shows the state of each camera in its tile, and changes views without reloading the page.

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
