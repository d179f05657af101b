// Draws a JPEG of an API response. On a canvas, so that no content security policy must allow the address of an image.

/**
 * @param {string} base64
 * @returns {Promise<HTMLCanvasElement>}
 */
export async function drawJpeg(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext("2d")?.drawImage(picture, 0, 0);
  return canvas;
}
