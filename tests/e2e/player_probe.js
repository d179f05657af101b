// Evaluated in the page under test: makes players, and reads the stamp bar (ninjacam.testing.stamp) of what they paint.
(() => {
  const CELLS = 40;
  const canvas = new OffscreenCanvas(640, 16);
  const context = canvas.getContext("2d", { willReadFrequently: true });

  function readStamp(picture) {
    const width = picture.videoWidth ?? picture.displayWidth ?? picture.width;
    // An empty canvas draws nothing. Chromium skips the clearing before an image that covers everything.
    context.clearRect(0, 0, 640, 16);
    context.drawImage(picture, 0, 0, width, width / CELLS, 0, 0, 640, 12);
    const { data } = context.getImageData(0, 6, 640, 1);
    const bits = Array.from({ length: CELLS }, (_, cell) => (data[(cell * 16 + 8) * 4 + 1] > 127 ? 1 : 0));
    const ends = bits[0] === 1 && bits[1] === 0 && bits[38] === 0 && bits[39] === 1;
    const value = bits.slice(2, 34).reduce((sum, bit) => sum * 2 + bit, 0);
    let check = 0;
    for (let shift = 0; shift < 32; shift += 4) check ^= (value >>> shift) & 15;
    return ends && check === bits.slice(34, 38).reduce((sum, bit) => sum * 2 + bit, 0) ? value : null;
  }

  window.probe = {
    players: {},
    make(name, attributes, style = "width:640px") {
      const player = document.createElement("ninjacam-player");
      for (const [key, value] of Object.entries({ base: "/", ...attributes })) player.setAttribute(key, value);
      player.style.cssText = style;
      const record = { player, paints: [], states: [] };
      player.onframe = (picture, meta) => {
        const atMs = performance.timeOrigin + performance.now();
        record.paints.push({ stamp: readStamp(picture), atMs, kind: picture.constructor.name, ...meta });
      };
      player.addEventListener("ninjacam-state", ({ detail }) => record.states.push({ ...detail, text: this.text(name) }));
      this.players[name] = record;
      document.body.append(player);
    },
    // Reads the picture on top in each animation frame from the first one on: how many were read, and how many were blank.
    observe(name) {
      const record = this.players[name];
      record.seen = record.blanks = 0;
      const look = () => {
        const top = [...record.player.shadowRoot.querySelectorAll(".stage > :not(.annotations)")].at(-1);
        record.seen += 1;
        if (!top || readStamp(top) === null) record.blanks += 1;
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    },
    text: (name) => probe.players[name].player.shadowRoot.textContent.replace(/\s+/g, " ").trim(),
  };
})();
