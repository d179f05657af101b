// Calls the API from our pages, with the session and the CSRF token.

/**
 * @param {string} path below /api/v1/ of the mount point
 * @param {object} [body] makes it a POST
 * @returns {Promise<any>} the JSON of the response
 * @throws {Error} with the `detail` of the problem+json
 */
export async function callApi(path, body) {
  const response = body ? await post(path, body) : await checked(fetch(url(path), { headers: headers() }));
  return response.json();
}

/**
 * @param {string} path below /api/v1/ of the mount point
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>} whose body has not been read
 * @throws {Error} with the `detail` of the problem+json
 */
export function post(path, body, signal) {
  return checked(fetch(url(path), { method: "POST", headers: headers(), body: JSON.stringify(body), signal }));
}

/** @param {string} path */
function url(path) {
  return `${document.body.dataset.base ?? "/"}api/v1/${path}`;
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
  throw new Error(answer.detail ?? `${response.status} ${response.statusText}`);
}
