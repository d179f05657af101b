// The patrol of a camera's page: its steps, and what it does at the moment. The server runs it; this page may be closed.

import { callApi } from "./api.js";
import { element, fill, listItem } from "./dom.js";

const EVERY_MS = 3000;
const root = element(document, "#patrol", HTMLDetailsElement);
const note = element(root, "[data-note]", HTMLElement);
const list = element(root, "[data-steps]", HTMLOListElement);
const template = element(root, "template", HTMLTemplateElement);
const path = `cameras/${root.dataset.camera}`;
const strings = root.dataset;
/** @type {{ token: string, name: string }[]} */
let presets = [];
/** @type {{ preset: string, dwell_s: number }[]} as the server has them */
let saved = [];
let isLoaded = false; // whether the list shows them; the camera names its presets late, or not at all
let isLoading = false;
let timer = 0;

/**
 * @param {string} text
 * @param {boolean} isError
 */
function say(text, isError = false) {
  note.className = isError ? "error" : "help";
  note.textContent = text;
}

/** @param {{ preset: string, dwell_s: number }} step */
function addStep(step) {
  const item = listItem(template);
  const select = element(item, "select", HTMLSelectElement);
  // A preset that the camera no longer has keeps its place.
  const known = presets.some((each) => each.token === step.preset) ? presets : [{ token: step.preset, name: step.preset }, ...presets];
  select.replaceChildren(...known.map(({ token, name }) => new Option(name, token, false, token === step.preset)));
  element(item, "input", HTMLInputElement).value = String(step.dwell_s);
  element(item, "[data-do=remove]", HTMLButtonElement).onclick = () => item.remove();
  list.append(item);
}

/** @param {any} patrol PatrolOut of the API */
function showState(patrol) {
  const values = { step: (patrol.step ?? 0) + 1, count: patrol.steps.length, reason: patrol.error?.message ?? "", name: patrol.ended_by };
  const kind = patrol.ended_by ? "ended" : patrol.state === "running" && patrol.error ? "skipped" : patrol.state;
  say(fill(strings[kind], values), Boolean(patrol.error));
  element(root, "[data-do=stop]", HTMLButtonElement).hidden = patrol.state === "off";
}

/** @param {boolean} running */
async function save(running) {
  const inputs = [...list.querySelectorAll("input")];
  if (running && !inputs.every((input) => input.reportValidity())) return;
  const listed = [...list.children].map((item) => ({
    preset: element(item, "select", HTMLSelectElement).value,
    dwell_s: Number(element(item, "input", HTMLInputElement).value),
  }));
  const steps = isLoaded ? listed : saved;
  try {
    showState(await callApi(`${path}/patrol`, { steps, running }, "PUT"));
  } catch (error) {
    say(/** @type {Error} */ (error).message, true);
  }
}

async function load() {
  if (!root.open || isLoading) return;
  isLoading = true;
  try {
    const patrol = await callApi(`${path}/patrol`);
    saved = patrol.steps;
    showState(patrol);
    if (!isLoaded) {
      presets = (await callApi(`${path}/ptz`)).presets;
      saved.forEach(addStep);
      isLoaded = true;
      element(root, "[data-do=add]", HTMLButtonElement).disabled = false;
    }
  } catch (error) {
    say(/** @type {Error} */ (error).message, true);
  }
  isLoading = false;
  clearTimeout(timer);
  timer = setTimeout(load, EVERY_MS);
}

element(root, "[data-do=add]", HTMLButtonElement).onclick = () => {
  const next = presets[list.children.length % Math.max(1, presets.length)];
  if (next) addStep({ preset: next.token, dwell_s: 20 });
};
element(root, "[data-do=start]", HTMLButtonElement).onclick = () => save(true);
element(root, "[data-do=stop]", HTMLButtonElement).onclick = () => save(false);
root.addEventListener("toggle", load);
void load(); // It may have been opened before this script was loaded.
