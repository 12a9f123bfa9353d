// The region on top of a photo: a canvas to paint on by pointer, touch or keyboard.

const TINT = "#ff2d9b"; // on no face and no face mask
const KEPT = 12; // steps that can be undone
const STEP = 8; // pixels of the picture that an arrow key moves the brush; with Shift, five times as far

function layer(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** Edits the region of one photo at a time. Coordinates are pixels of the view that the server sent. */
export class Editor extends EventTarget {
  constructor(canvas) {
    super();
    this.canvas = canvas;
    this.erasing = false;
    this.size = 28;
    this.at = null; // where the brush is, [x, y]
    this.photo = null;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#up());
    canvas.addEventListener("pointerleave", () => { if (!this.stroke) { this.at = null; this.draw(); } });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => { this.at = null; this.draw(); });
  }

  /** Show a photo: its picture, its faces as the server described them, and its edits so far, if any. */
  async open(photo) {
    this.photo = photo;
    this.canvas.width = photo.picture.naturalWidth;
    this.canvas.height = photo.picture.naturalHeight;
    this.at = null;
    if (!photo.region) {
      photo.region = layer(this.canvas.width, this.canvas.height);
      photo.history = [];
      photo.found = await Promise.all(photo.faces.map((face) => this.#decoded(face)));
      if (this.photo === photo) this.reset(false);
    }
    this.draw();
    this.#changed();
  }

  /** The region as the server found it. */
  reset(kept = true) {
    if (kept) this.#remember();
    this.photo.edited = false;
    this.photo.chosen = this.photo.found.map(Boolean);
    this.#wipe();
    const to = this.photo.region.getContext("2d");
    for (const found of this.photo.found) if (found) to.drawImage(found, 0, 0);
    this.draw();
    this.#changed();
  }

  /** No region at all. */
  clear() {
    this.#remember();
    this.photo.edited = true;
    this.photo.chosen = this.photo.chosen.map(() => false);
    this.#wipe();
    this.draw();
    this.#changed();
  }

  /** Take a face's region in, or out with all that was painted in its box. */
  choose(number, wanted) {
    this.#remember();
    this.photo.edited = true;
    this.photo.chosen[number] = wanted;
    const to = this.photo.region.getContext("2d");
    if (wanted) {
      to.drawImage(this.photo.found[number], 0, 0);
    } else {
      const [left, top, right, bottom] = this.#box(number);
      const x = (right - left) / 6, y = (bottom - top) / 6;
      to.clearRect(left - x, top - y, right - left + 2 * x, bottom - top + 2 * y);
    }
    this.draw();
    this.#changed();
  }

  get canUndo() {
    return Boolean(this.photo?.history.length);
  }

  undo() {
    const last = this.photo.history.pop();
    if (!last) return;
    this.#wipe();
    this.photo.region.getContext("2d").drawImage(last.region, 0, 0);
    this.photo.edited = last.edited;
    this.photo.chosen = last.chosen;
    this.draw();
    this.#changed();
  }

  /** Whether anything is marked. */
  get isEmpty() {
    const { width, height } = this.photo.region;
    const values = this.photo.region.getContext("2d").getImageData(0, 0, width, height).data;
    for (let i = 3; i < values.length; i += 4) if (values[i] > 127) return false;
    return true;
  }

  /** The region as a gray picture for the server: white on black. */
  picture() {
    const out = layer(this.photo.region.width, this.photo.region.height);
    const to = out.getContext("2d");
    to.drawImage(this.photo.region, 0, 0);
    to.globalCompositeOperation = "source-in";
    to.fillStyle = "#fff";
    to.fillRect(0, 0, out.width, out.height);
    to.globalCompositeOperation = "destination-over";
    to.fillStyle = "#000";
    to.fillRect(0, 0, out.width, out.height);
    return new Promise((done) => out.toBlob(done, "image/png"));
  }

  draw() {
    if (!this.photo) return;
    const to = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    to.globalAlpha = 1;
    to.drawImage(this.photo.picture, 0, 0, width, height);
    to.globalAlpha = 0.5;
    to.drawImage(this.photo.region, 0, 0);
    to.globalAlpha = 1;
    const thick = Math.max(1.5, this.#perPixel() * 2);
    this.photo.faces.forEach((face, i) => {
      const [left, top, right, bottom] = this.#box(i);
      this.#line(to, thick, () => to.strokeRect(left, top, right - left, bottom - top));
      const size = Math.round(this.#perPixel() * 14);
      to.font = `600 ${size}px system-ui, sans-serif`;
      const words = ` ${i + 1} `, wide = to.measureText(words).width;
      to.fillStyle = "#000c";
      to.fillRect(left, top, wide, size * 1.3);
      to.fillStyle = "#fff";
      to.fillText(words, left, top + size);
    });
    if (this.at) this.#line(to, thick, () => {
      to.beginPath();
      to.arc(...this.at, this.size / 2 * this.#perPixel(), 0, 2 * Math.PI);
      to.stroke();
    });
  }

  #line(to, thick, stroke) {
    for (const [color, width] of [["#000a", thick * 2], [this.erasing && this.at ? "#ffd23f" : "#fff", thick]]) {
      to.strokeStyle = color;
      to.lineWidth = width;
      stroke();
    }
  }

  /** Pixels of the picture in one pixel of the screen. */
  #perPixel() {
    return this.canvas.width / (this.canvas.clientWidth || this.canvas.width);
  }

  #box(number) {
    const sx = this.photo.view[0] / this.photo.size[0], sy = this.photo.view[1] / this.photo.size[1];
    const [left, top, right, bottom] = this.photo.faces[number].bbox;
    return [left * sx, top * sy, right * sx, bottom * sy];
  }

  /** A face's region as a tinted layer, null where it wears no face mask. */
  async #decoded(face) {
    if (!face.region) return null;
    const picture = new Image();
    picture.src = `data:image/png;base64,${face.region}`;
    await picture.decode();
    const out = layer(this.canvas.width, this.canvas.height), to = out.getContext("2d");
    to.drawImage(picture, 0, 0, out.width, out.height);
    const values = to.getImageData(0, 0, out.width, out.height);
    const tint = [1, 3, 5].map((i) => parseInt(TINT.slice(i, i + 2), 16));
    for (let i = 0; i < values.data.length; i += 4) {
      values.data[i + 3] = values.data[i];
      values.data.set(tint, i);
    }
    to.putImageData(values, 0, 0);
    return out;
  }

  #wipe() {
    this.photo.region.getContext("2d").clearRect(0, 0, this.photo.region.width, this.photo.region.height);
  }

  #remember() {
    const region = layer(this.photo.region.width, this.photo.region.height);
    region.getContext("2d").drawImage(this.photo.region, 0, 0);
    this.photo.history.push({ region, edited: this.photo.edited, chosen: [...this.photo.chosen] });
    if (this.photo.history.length > KEPT) this.photo.history.shift();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.canvas.width / box.width,
            (event.clientY - box.top) * this.canvas.height / box.height];
  }

  #paint(from, to) {
    const on = this.photo.region.getContext("2d");
    on.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    on.strokeStyle = TINT;
    on.lineWidth = this.size * this.#perPixel();
    on.lineCap = "round";
    on.beginPath();
    on.moveTo(...from);
    on.lineTo(to[0] + 0.01, to[1]); // a line of no length would draw nothing
    on.stroke();
    on.globalCompositeOperation = "source-over";
  }

  #dab(from, to) {
    this.photo.edited = true;
    this.#paint(from, to);
    this.draw();
  }

  #down(event) {
    if (!this.photo || event.button !== 0 || !event.isPrimary) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#remember();
    this.stroke = this.at = this.#place(event);
    this.#dab(this.at, this.at);
  }

  #move(event) {
    if (!this.photo || !event.isPrimary) return;
    this.at = this.#place(event);
    if (!this.stroke) return this.draw();
    this.#dab(this.stroke, this.at);
    this.stroke = this.at;
  }

  #up() {
    if (!this.stroke) return;
    this.stroke = null;
    this.#changed();
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.photo || (!way && event.key !== " ")) return;
    event.preventDefault();
    const { width, height } = this.canvas, before = this.at || [width / 2, height / 2];
    if (way) {
      const far = STEP * this.#perPixel() * (event.shiftKey ? 5 : 1);
      this.at = [Math.min(width, Math.max(0, before[0] + way[0] * far)),
                 Math.min(height, Math.max(0, before[1] + way[1] * far))];
      this.draw();
    } else {
      this.at = before;
      this.#remember();
      this.#dab(before, before);
      this.#changed();
    }
  }
}
