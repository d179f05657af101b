// The page of a backtest while it runs: shows its progress, and loads the page again when it has ended.

import { ApiError, callApi } from "./api.js";
import { element } from "./dom.js";

const POLL_MS = 1000;

const shown = element(document, "#backtest", HTMLElement);
const bar = element(shown, "progress", HTMLProgressElement);
const error = element(shown, ".error", HTMLElement);
let before = "";

async function poll() {
  try {
    const backtest = await callApi(shown.dataset.url ?? "");
    bar.value = backtest.progress;
    error.hidden = true;
    const isActive = backtest.state === "queued" || backtest.state === "running";
    // Its text depends on the state.
    if (!isActive || (before && before !== backtest.state)) return location.reload();
    before = backtest.state;
  } catch (problem) {
    error.textContent = problem instanceof Error ? problem.message : String(problem);
    error.hidden = false;
    if (problem instanceof ApiError && problem.code === "not_found") return;
  }
  setTimeout(poll, POLL_MS);
}

void poll();
