// The section “Device” of a camera's page: asks the camera when it is opened, and changes its settings by the API.
// All texts of devices come from the network. They are only ever set as text, never as markup.

import { ApiError, callApi } from "./api.js";
import { element, fill, listItem, showTexts } from "./dom.js";

/**
 * @typedef {{ min: number, max: number }} Range
 * @typedef {{ codec: string, width_px: number, height_px: number, fps: number, bitrate_kbps: number,
 *   gop_frames: number }} Encoder
 * @typedef {{ codec: string, sizes: { width_px: number, height_px: number }[], fps: number[], fps_range: Range | null,
 *   bitrate_kbps: Range | null, gop_frames: Range | null }} EncoderOptions
 * @typedef {{ code: string, message: string }} Advice
 * @typedef {{ token: string, name: string, stream: string | null, url: string | null, error: string,
 *   snapshot_url: string, encoder: Encoder, advice: Advice[] }} Profile
 */

const root = element(document, "#device", HTMLElement);
const note = element(root, "[data-note]", HTMLElement);
const path = `cameras/${root.dataset.camera}`;
const strings = root.dataset;
let isLoaded = false;

/** @param {string} part the name of a part of the section, and of its resource in the API */
async function load(part) {
  const place = root.querySelector(`[data-part=${part}]`);
  if (!(place instanceof HTMLElement)) return;
  try {
    const found = await callApi(`${path}/${part}`);
    if (part === "device") showDevice(place, found);
    else if (part === "imaging") showImaging(/** @type {HTMLFormElement} */ (place), found);
    else showOutputs(place, found.outputs);
    place.hidden = false;
  } catch (error) {
    const isMissing = error instanceof ApiError && error.code === "command_unsupported" && part !== "device";
    if (!isMissing) say(/** @type {Error} */ (error).message, true); // A camera without outputs lacks that part.
  }
}

/**
 * @param {string} text
 * @param {boolean} isError
 */
function say(text, isError) {
  note.className = isError ? "error" : "help";
  note.textContent = text;
}

/**
 * Run what a control does, and show its error. The control is disabled meanwhile.
 *
 * @param {HTMLButtonElement | HTMLInputElement | HTMLSelectElement} control
 * @param {() => Promise<unknown>} action
 */
async function run(control, action) {
  control.disabled = true;
  say("", false);
  try {
    await action();
  } catch (error) {
    say(/** @type {Error} */ (error).message, true);
  } finally {
    control.disabled = false;
  }
}

// --- what it is, its clock and streams ---

/**
 * @param {HTMLElement} place
 * @param {any} device DeviceOut of the API
 */
function showDevice(place, device) {
  for (const name of ["manufacturer", "model", "firmware", "serial"]) {
    element(place, `[data-value=${name}]`, HTMLElement).textContent = device[name] || "–";
  }
  showClock(place, device.clock_offset_s);
  showRecordings(place, device.recordings);
  showTexts(element(place, "[data-advice]", HTMLElement), device.advice.map((/** @type {Advice} */ each) => each.message));
  element(place, "[data-profiles]", HTMLElement).replaceChildren(...device.profiles.map(profileItem));
  element(place, "[data-do=streams]", HTMLButtonElement).hidden = !device.profiles.some(
    (/** @type {Profile} */ each) => each.url && !each.stream,
  );
}

/**
 * @param {HTMLElement} place
 * @param {number} offset_s
 */
function showClock(place, offset_s) {
  const seconds = Math.round(Math.abs(offset_s));
  const text = seconds < 2 ? strings.right : fill(offset_s > 0 ? strings.ahead : strings.behind, { seconds });
  element(place, "[data-value=clock]", HTMLElement).textContent = text ?? "";
}

/**
 * @param {HTMLElement} place
 * @param {{ count: number, start: string | null, end: string | null } | null} recordings
 */
function showRecordings(place, recordings) {
  for (const each of place.querySelectorAll("[data-recordings]")) {
    if (each instanceof HTMLElement) each.hidden = !recordings;
  }
  if (!recordings) return;
  const { count, start, end } = recordings;
  const format = new Intl.DateTimeFormat(document.documentElement.lang || undefined, { dateStyle: "short", timeStyle: "short" });
  const span = start && end ? format.formatRange(new Date(start), new Date(end)) : "";
  element(place, "[data-value=recordings]", HTMLElement).textContent = [count, span].filter(String).join("; ");
}

/** @param {Profile} profile */
function profileItem(profile) {
  const item = listItem(element(root, "template[data-profile]", HTMLTemplateElement));
  element(item, "strong", HTMLElement).textContent = profile.name || profile.token;
  showEncoder(item, profile.encoder, profile.advice, profile.stream);
  element(item, "[data-error]", HTMLElement).textContent = profile.error;
  const snapshot = element(item, "[data-snapshot]", HTMLElement);
  snapshot.hidden = !profile.snapshot_url;
  element(snapshot, "code", HTMLElement).textContent = profile.snapshot_url;
  const form = element(item, "form", HTMLFormElement);
  const details = element(item, "details", HTMLDetailsElement);
  details.addEventListener("toggle", () => details.open && form.hidden && loadEncoder(item, form, profile));
  return item;
}

/**
 * @param {HTMLElement} item
 * @param {Encoder} encoder
 * @param {Advice[]} advice
 * @param {string | null} stream
 */
function showEncoder(item, encoder, advice, stream) {
  const size = `${encoder.width_px} × ${encoder.height_px}`;
  const facts = [stream, encoder.codec, size, `${encoder.fps}/s`, encoder.bitrate_kbps && `${encoder.bitrate_kbps} kbit/s`];
  element(item, "[data-format]", HTMLElement).textContent = facts.filter(Boolean).join(", ");
  showTexts(element(item, "[data-advice]", HTMLElement), advice.map((each) => each.message));
}

// --- encoders ---

/** @param {Profile} profile */
function encoderPath(profile) {
  return `${path}/device/encoders/${encodeURIComponent(profile.token)}`;
}

/**
 * @param {HTMLElement} item
 * @param {HTMLFormElement} form
 * @param {Profile} profile
 */
async function loadEncoder(item, form, profile) {
  try {
    const { encoder, options, advice } = await callApi(encoderPath(profile));
    showEncoder(item, encoder, advice, profile.stream);
    showEncoderForm(form, encoder, options);
    form.hidden = !options.length; // Such a camera only shows its settings.
  } catch (error) {
    say(/** @type {Error} */ (error).message, true);
    return;
  }
  form.onsubmit = (event) => {
    event.preventDefault();
    void run(element(form, "button", HTMLButtonElement), async () => {
      await callApi(encoderPath(profile), encoderChanges(form), "PATCH");
      say(strings.saved ?? "", false);
      await loadEncoder(item, form, profile);
    });
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {Encoder} encoder
 * @param {EncoderOptions[]} options
 */
function showEncoderForm(form, encoder, options) {
  const codec = element(form, "[name=codec]", HTMLSelectElement);
  showChoices(codec, options.map((each) => each.codec), encoder.codec);
  const show = () => {
    const offered = options.find((each) => each.codec === codec.value) ?? options[0];
    if (!offered) return;
    const sizes = offered.sizes.map((each) => `${each.width_px} × ${each.height_px}`);
    showChoices(element(form, "[name=size]", HTMLSelectElement), sizes, `${encoder.width_px} × ${encoder.height_px}`);
    const listed = element(form, "select[name=fps]", HTMLSelectElement);
    const number = element(form, "input[name=fps]", HTMLInputElement);
    listed.hidden = listed.disabled = !offered.fps.length;
    number.hidden = number.disabled = !listed.hidden;
    showChoices(listed, offered.fps.map(String), String(encoder.fps));
    showNumber(number, encoder.fps, offered.fps_range);
    showNumber(element(form, "[name=bitrate_kbps]", HTMLInputElement), encoder.bitrate_kbps, offered.bitrate_kbps);
    const gop = element(form, "[name=gop_frames]", HTMLInputElement);
    showNumber(gop, encoder.gop_frames, offered.gop_frames);
    gop.disabled = codec.value === "JPEG";
  };
  codec.onchange = show;
  show();
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} choices
 * @param {string} present
 * @param {(choice: string) => string} label
 */
function showChoices(select, choices, present, label = (choice) => choice) {
  const all = choices.includes(present) ? choices : [present, ...choices];
  select.replaceChildren(...all.map((choice) => new Option(label(choice), choice, false, choice === present)));
}

/**
 * @param {HTMLInputElement} input
 * @param {number} value
 * @param {{ min: number | null, max: number | null } | null} range
 */
function showNumber(input, value, range) {
  input.min = String(range?.min ?? "");
  input.max = String(range?.max ?? "");
  input.value = String(value);
}

/** @param {HTMLFormElement} form */
function encoderChanges(form) {
  const values = new FormData(form);
  const [width_px, height_px] = String(values.get("size")).split(" × ").map(Number);
  const numbers = [...values].filter(([name]) => !["codec", "size"].includes(name));
  /** @type {Record<string, string | number | undefined>} */
  const changes = { codec: String(values.get("codec")), width_px, height_px };
  for (const [name, value] of numbers) if (Number(value)) changes[name] = Number(value); // 0: the camera reports none.
  return changes;
}

// --- imaging and outputs ---

/**
 * @param {HTMLFormElement} form
 * @param {any} imaging ImagingOut of the API
 */
function showImaging(form, imaging) {
  showLamp(element(form, "[name=ir_lamp]", HTMLSelectElement), imaging.ir_lamp_modes);
  for (const [name, choices] of [["ir_cut_filter", imaging.ir_cut_filters], ["focus_mode", imaging.focus_modes]]) {
    const select = element(form, `[name=${name}]`, HTMLSelectElement);
    labelOf(select).hidden = !choices.length;
    showChoices(select, choices, imaging[name], (choice) => strings[choice] ?? choice);
    select.onchange = () => run(select, () => callApi(`${path}/imaging`, { [name]: select.value }, "PATCH"));
  }
  for (const name of ["brightness", "contrast", "saturation", "sharpness"]) {
    const input = element(form, `[name=${name}]`, HTMLInputElement);
    const level = imaging.levels[name];
    labelOf(input).hidden = !level || level.min === null || level.max === null;
    if (labelOf(input).hidden) continue;
    showNumber(input, level.value, level);
    input.onchange = () => run(input, () => callApi(`${path}/imaging`, { [name]: Number(input.value) }, "PATCH"));
  }
  const focus = element(form, "[data-focus]", HTMLElement);
  focus.hidden = !imaging.can_move_focus;
  for (const button of focus.querySelectorAll("button")) {
    button.onclick = () => run(button, () => callApi(`${path}/focus`, { speed: Number(button.dataset.speed) }));
  }
}

/**
 * Cameras do not report the state of the lamp, so the first choice is empty, and it cannot be chosen again.
 *
 * @param {HTMLSelectElement} select
 * @param {string[]} modes
 */
function showLamp(select, modes) {
  const labels = { on: strings.lampOn, off: strings.lampOff, auto: strings.auto };
  labelOf(select).hidden = !modes.length;
  showChoices(select, modes, "", (mode) => labels[/** @type {keyof typeof labels} */ (mode)] ?? mode);
  if (select.options[0]) select.options[0].disabled = true;
  select.onchange = () => run(select, () => callApi(`${path}/imaging`, { ir_lamp: select.value }, "PATCH"));
}

/** @param {HTMLElement} control */
function labelOf(control) {
  return /** @type {HTMLLabelElement} */ (control.closest("label"));
}

/**
 * @param {HTMLElement} place
 * @param {{ token: string }[]} outputs
 */
function showOutputs(place, outputs) {
  const items = outputs.map(({ token }) => {
    const item = listItem(element(root, "template[data-output]", HTMLTemplateElement));
    element(item, "span", HTMLElement).textContent = token;
    for (const button of item.querySelectorAll("button")) {
      const active = button.dataset.active === "true";
      button.onclick = () => run(button, () => callApi(`${path}/outputs/${encodeURIComponent(token)}`, { active }, "PUT"));
    }
    return item;
  });
  place.replaceChildren(...items);
}

const details = element(root, "details", HTMLDetailsElement);
function loadOnce() {
  if (!details.open || isLoaded) return;
  isLoaded = true;
  for (const part of ["device", "imaging", "outputs"]) void load(part);
}

details.addEventListener("toggle", loadOnce);
loadOnce(); // It may have been opened before this script was loaded.

const place = root.querySelector("[data-part=device]");
if (place instanceof HTMLElement) {
  const clock = element(place, "[data-do=clock]", HTMLButtonElement);
  clock.onclick = () =>
    run(clock, async () => showClock(place, (await callApi(`${path}/device/clock`, {}, "PUT")).offset_s));
  const streams = element(place, "[data-do=streams]", HTMLButtonElement);
  streams.onclick = () =>
    run(streams, async () => {
      const added = (await callApi(`${path}/device/streams`, {})).streams;
      const names = added.map((/** @type {{ name: string }} */ each) => each.name).join(", ");
      await load("device");
      say(names ? fill(strings.added, { names }) : (strings.none ?? ""), false);
    });
}
