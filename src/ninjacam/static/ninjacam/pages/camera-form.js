// The form of a camera: "Test" opens it as entered and shows a frame, or the error, before anything is saved.

import { callApi } from "./api.js";
import { drawJpeg } from "./jpeg-canvas.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("camera-form"));
const button = /** @type {HTMLButtonElement} */ (document.getElementById("test"));
const result = /** @type {HTMLElement} */ (document.getElementById("test-result"));
const { camera = "", testing = "", failed = "", fine = "" } = form.dataset;

/** @param {string} name */
function field(name) {
  return /** @type {HTMLInputElement | null} */ (form.elements.namedItem(name));
}

/** Return the fields entered; for a saved camera only changed ones, so that stored credentials stay in use. */
function source() {
  /** @type {Record<string, string | boolean>} */
  const body = {
    transport: field("transport")?.value ?? "tcp",
    audio: field("audio")?.checked ?? true,
    verify_tls: field("verify_tls")?.checked ?? true,
  };
  const url = field("url");
  const username = field("username")?.value ?? "";
  const password = field("password")?.value ?? "";
  if (url && (!camera || url.value !== url.defaultValue)) body.url = url.value.trim();
  if (!camera || username || password || field("forget_credentials")?.checked) Object.assign(body, { username, password });
  return body;
}

/**
 * @param {string} text
 * @param {string} kind a class: "fine", "error" or ""
 */
function say(text, kind) {
  const paragraph = document.createElement("p");
  paragraph.className = kind;
  paragraph.textContent = text;
  result.replaceChildren(paragraph);
}

async function test() {
  if (!field("url")?.reportValidity()) return;
  button.disabled = true;
  say(testing, "");
  try {
    const answer = await callApi(camera ? `cameras/${camera}/probe` : "cameras/probe", source());
    if (!answer.ok) return say(answer.error?.message ?? failed, "error");
    const sound = answer.audio_codec ? `, ${answer.audio_codec}` : "";
    say(`${fine} ${answer.codec} ${answer.width_px} × ${answer.height_px}${sound}`, "fine");
    if (answer.jpeg_base64) result.append(await drawJpeg(answer.jpeg_base64));
  } catch (error) {
    say(/** @type {Error} */ (error).message || failed, "error");
  } finally {
    button.disabled = false;
  }
}

/** Derive the short name from the name until the user edits it. */
function suggestSlug() {
  const name = field("name");
  const slug = field("slug");
  if (camera || !name || !slug || slug.value) return;
  let own = false;
  slug.addEventListener("input", () => (own = slug.value !== ""));
  name.addEventListener("input", () => {
    if (own) return;
    const plain = name.value.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
    slug.value = plain.replace(/[^a-z0-9_]+/g, "-").replace(/^[-_]+|-+$/g, "").slice(0, 50);
  });
}

button.hidden = false;
button.addEventListener("click", test);
suggestSlug();
