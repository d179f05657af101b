// Server-sent events as the response of a POST, which EventSource cannot send.

/**
 * @typedef {{ kind: string, data: any }} ServerEvent
 * @param {Response} response
 * @returns {AsyncGenerator<ServerEvent>} ends with the response
 */
export async function* readEvents(response) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      const kind = /^event: (\w+)$/m.exec(part)?.[1];
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (kind && data) yield { kind, data: JSON.parse(data) };
    }
    if (done) return;
  }
}
