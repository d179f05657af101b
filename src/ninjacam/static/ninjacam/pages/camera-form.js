// The form of a camera: "Test" opens it as entered and shows a frame, or the error, before anything is saved. "Read
// streams from the camera" asks it by ONVIF, and enters the addresses of its streams.

import { callApi } from "./api.js";
import { drawJpeg } from "./jpeg-canvas.js";

const form = /** @type {HTMLFormElement} */ (document.getElementById("camera-form"));
const button = /** @type {HTMLButtonElement} */ (document.getElementById("test"));
const result = /** @type {HTMLElement} */ (document.getElementById("test-result"));
const reading = /** @type {HTMLButtonElement} */ (document.getElementById("read-streams"));
const { camera = "", testing = "", failed = "", fine = "", described = "" } = form.dataset;

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

/** Return the second stream's source if it was entered or changed, else null. A login is for its own server only. */
function subSource() {
  const url = field("sub_url");
  if (!url?.value.trim() || (camera && url.value === url.defaultValue)) return null;
  const body = { ...source(), url: url.value.trim() };
  return isSameServer(body.url, field("url")?.value.trim() ?? "") ? body : { ...body, username: "", password: "" };
}

/**
 * @param {string} one
 * @param {string} other
 */
function isSameServer(one, other) {
  try {
    const [first, second] = [new URL(one), new URL(other)];
    return first.protocol === second.protocol && first.host === second.host;
  } catch {
    return false;
  }
}

/**
 * @param {string} text
 * @param {string} kind a class: "fine", "error" or ""
 */
function say(text, kind) {
  const paragraph = document.createElement("p");
  paragraph.className = kind;
  paragraph.textContent = text;
  result.append(paragraph);
}

/**
 * Test one address and show the result.
 * @param {Record<string, string | boolean>} body
 * @param {string} name shown before the result
 */
async function probe(body, name) {
  const answer = await callApi(camera ? `cameras/${camera}/probe` : "cameras/probe", body);
  if (!answer.ok) return say(name + (answer.error?.message ?? failed), "error");
  const sound = answer.audio_codec ? `, ${answer.audio_codec}` : "";
  say(`${name}${fine} ${answer.codec} ${answer.width_px} × ${answer.height_px}${sound}`, "fine");
  if (answer.jpeg_base64) result.append(await drawJpeg(answer.jpeg_base64));
}

async function test() {
  if (!field("url")?.reportValidity()) return;
  button.disabled = true;
  result.replaceChildren();
  say(testing, "");
  const waiting = result.firstElementChild;
  try {
    await probe(source(), "");
    const sub = subSource();
    const label = form.querySelector("label[for=id_sub_url]")?.firstChild?.textContent ?? "";
    if (sub) await probe(sub, `${label.trim()}: `);
  } catch (error) {
    say(/** @type {Error} */ (error).message || failed, "error");
  } finally {
    waiting?.remove();
    button.disabled = false;
  }
}

async function readStreams() {
  if (!field("url")?.reportValidity()) return;
  reading.disabled = true;
  say(form.dataset.reading ?? "", "");
  const onvif = field("onvif_url");
  try {
    const onvif_url = onvif?.value.trim() || "auto";
    const device = await callApi(camera ? `cameras/${camera}/probe/device` : "cameras/probe/device", { ...source(), onvif_url });
    /** @type {{ stream: string | null, url: string | null, encoder: any }[]} */
    const profiles = device.profiles;
    if (onvif && !onvif.value) onvif.value = "auto";
    for (const { stream, url } of profiles) {
      const into = stream === "sub" ? field("sub_url") : stream === "main" && !camera ? field("url") : null;
      if (into && url && !url.includes("***")) into.value = url; // A masked secret is only known to the server.
    }
    const texts = profiles.map(({ stream, encoder }) => {
      const format = `${encoder.codec} ${encoder.width_px} × ${encoder.height_px}`;
      return stream ? `${stream}: ${format}` : format;
    });
    say(`${described} ${texts.join("; ") || "–"}`, "fine");
  } catch (error) {
    say(/** @type {Error} */ (error).message || failed, "error");
  } finally {
    reading.disabled = false;
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

button.hidden = reading.hidden = false;
reading.addEventListener("click", readStreams);
button.addEventListener("click", test);
suggestSlug();
