// What is chosen in the panel: which faces to restore, and which guess to keep.

import { closeUp, make } from "./photos.js";

const WORDS = { masked: "face mask found", "no mask": "no face mask found", "too small": "too small to restore" };

/** A box to tick for every face of a photo. */
export function faceBoxes({ faces, region }) {
  const none = make("p", { className: "quiet", textContent: "No face was found. Give a photo in which the eyes can be seen." });
  return faces.length ? faces.map((face, i) => {
    const box = make("input", { type: "checkbox", checked: region.chosen[i], disabled: !region.found[i] });
    box.addEventListener("change", () => region.choose(i, box.checked));
    const sure = face.status === "masked" ? ` (${Math.round(face.garment_score * 100)} % sure)` : "";
    return make("label", {}, box, `${i + 1}: ${WORDS[face.status]}${sure}`);
  }) : [none];
}

/** A small picture to pick for every guess of a photo: its largest restored face. */
export function guessRadios({ result, view, size }, picked) {
  const face = result.faces.find((one) => one.status === "restored");
  const box = face?.bbox.map((v, i) => v * view[i % 2] / size[i % 2]);
  return result.guesses.map(({ sharp }, i) => {
    const radio = make("input", { type: "radio", name: "guess", checked: i === result.chosen });
    radio.addEventListener("change", () => { result.chosen = i; picked(); });
    return make("label", {}, radio, closeUp(sharp.small, view, box), make("span", { textContent: `guess ${i + 1}` }));
  });
}
