// Compares what the browser asked for with what arrived at the server, and reports what a proxy between them changes.

import { mountedUrl } from "../player/connection.js";

const { seen = "", base = "/", scheme = "", host = "", websocket = "" } = document.body.dataset;
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
  if (!websocket || sessionStorage.getItem(TESTED)) return; // the WebSocket refuses those who are not logged in
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

if (seen) {
  const arrived = new URL(seen);
  if (arrived.protocol !== location.protocol) report(scheme);
  if (arrived.hostname !== location.hostname) report(host);
  testWebSocket();
}
