// Calls of our own API from our own pages: session, CSRF token, and errors that are sentences.

/**
 * @param {string} path below /api/v1/ of the mount point
 * @param {object} [body] makes it a POST
 * @returns {Promise<any>} the JSON of the answer
 * @throws {Error} with the `detail` of the problem+json
 */
export async function callApi(path, body) {
  const token = /** @type {HTMLInputElement | null} */ (document.querySelector("input[name=csrfmiddlewaretoken]"));
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token?.value ?? "" };
  const url = `${document.body.dataset.base ?? "/"}api/v1/${path}`;
  const response = await fetch(url, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail ?? `${response.status} ${response.statusText}`);
  return answer;
}
