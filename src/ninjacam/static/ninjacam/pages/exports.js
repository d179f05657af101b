// The page of exports: shows the progress of those that run, and loads the page again when one has ended.

import { ApiError, callApi } from "./api.js";
import { askBeforeSubmit, element } from "./dom.js";

const POLL_MS = 1000;

/** One export that waits or runs. */
class ActiveExport {
  /** @param {HTMLElement} item */
  constructor(item) {
    this.item = item;
    this.id = item.dataset.export ?? "";
    this.state = item.dataset.state ?? "";
  }

  /** @returns {Promise<boolean>} whether the page must be loaded again */
  async poll() {
    try {
      const { state, progress } = await callApi(`exports/${this.id}`);
      if (state !== this.state) return true; // Its buttons depend on the state.
      if (state === "running") this.show(Math.round(100 * progress));
    } catch (error) {
      if (error instanceof ApiError && error.code === "not_found") return true; // deleted meanwhile
      throw error;
    }
    return false;
  }

  /** @param {number} percent */
  show(percent) {
    element(this.item, "progress", HTMLProgressElement).value = percent;
    element(this.item, ".percent", HTMLElement).textContent = `${percent} %`;
  }
}

const active = [.../** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-export]"))].map(
  (item) => new ActiveExport(item),
);
const problem = element(document, "#exports-error", HTMLElement);

async function poll() {
  if (document.visibilityState === "visible") {
    try {
      for (const each of active) if (await each.poll()) return location.replace(location.href);
      problem.hidden = true;
    } catch (error) {
      const lost = document.getElementById("exports")?.dataset.lost ?? "";
      problem.textContent = error instanceof TypeError ? lost : String(/** @type {Error} */ (error).message);
      problem.hidden = false;
    }
  }
  setTimeout(poll, POLL_MS);
}

document.querySelectorAll("form").forEach(askBeforeSubmit);
if (active.length) void poll();
