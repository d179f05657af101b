// Loads the page again when the server can be reached.

const EVERY_MS = 5000;

async function retry() {
  const response = await fetch(document.body.dataset.health ?? "", { cache: "no-store" }).catch(() => null);
  if (response) location.reload();
}

addEventListener("online", retry);
setInterval(retry, EVERY_MS);
