// Calls the API from our pages, with the session and the CSRF token.

/** The path that Ninjacam is mounted at, with a slash at its end. */
export const base = document.getElementById("content")?.dataset.base ?? "/";

/** An error of the API: `message` is the `detail` of the problem+json. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   */
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

/**
 * @param {string} path below /api/v1/ of the mount point
 * @param {object} [body] makes it a POST, or another method
 * @param {"POST" | "PUT" | "PATCH" | "DELETE"} method
 * @returns {Promise<any>} the JSON of the response, or null if it is empty
 * @throws {ApiError}
 */
export async function callApi(path, body, method = "POST") {
  const response = await (body ? send(method, path, body) : checked(fetch(url(path), { headers: headers() })));
  return response.status === 204 ? null : response.json();
}

/**
 * @param {string} path below /api/v1/ of the mount point
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>} whose body has not been read
 * @throws {ApiError}
 */
export function post(path, body, signal) {
  return send("POST", path, body, signal);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
function send(method, path, body, signal) {
  return checked(fetch(url(path), { method, headers: headers(), body: JSON.stringify(body), signal }));
}

/** @param {string} path */
function url(path) {
  return `${base}api/v1/${path}`;
}

function headers() {
  const token = /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=csrfmiddlewaretoken]"));
  return { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token?.value ?? "" };
}

/** @param {Promise<Response>} asked */
async function checked(asked) {
  const response = await asked;
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new ApiError(answer.detail ?? `${response.status} ${response.statusText}`, answer.code ?? "");
}
