// Compares the URL in the browser with the URL that the server received, and reports what a proxy changes.

import { mountedUrl } from "../player/connection.js";

const { requestUrl = "", base = "/", scheme = "", host = "", websocket = "" } = document.getElementById("content")?.dataset ?? {};
const TESTED = "ninjacam-websocket-tested"; // once per tab

/** @param {string} sentence */
function report(sentence) {
  const paragraph = document.createElement("p");
  paragraph.className = "alert proxy-fault";
  paragraph.setAttribute("role", "status");
  paragraph.textContent = sentence;
  document.getElementById("content")?.prepend(paragraph);
}

function testWebSocket() {
  if (!websocket || sessionStorage.getItem(TESTED)) return; // the WebSocket rejects anonymous users
  const url = mountedUrl(base, "live/ws");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url);
  let opened = false;
  socket.onopen = () => {
    opened = true;
    sessionStorage.setItem(TESTED, "1");
    socket.close();
  };
  socket.onclose = () => opened || report(websocket);
}

if (requestUrl) {
  const arrived = new URL(requestUrl);
  if (arrived.protocol !== location.protocol) report(scheme);
  if (arrived.hostname !== location.hostname) report(host);
  testWebSocket();
}
