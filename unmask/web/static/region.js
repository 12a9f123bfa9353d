// The region of one photo: what will be repainted. A layer in the tint's color whose alpha says how much.

export const TINT = "#e6007a"; // on no face and no face mask
const KEPT = 20; // steps that can be undone
const STEP = 0.03; // of a face's width, by which the region grows or shrinks
const TURNS = 24; // directions in which it does

function layer(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true });
  return canvas;
}

function copy(of) {
  const out = layer(of.width, of.height);
  out.getContext("2d").drawImage(of, 0, 0);
  return out;
}

/** All coordinates are pixels of the view that the server sent. */
export class Region extends EventTarget {
  #past = [];
  #next = [];
  #empty = null; // null where it is not known

  /** The region of a photo as the server described it: its `view`, its `size` and its `faces`. */
  static async of(photo) {
    const region = new Region();
    region.boxes = photo.faces.map((face) => face.bbox.map((v, i) => v * photo.view[i % 2] / photo.size[i % 2]));
    region.canvas = layer(...photo.view);
    region.found = await Promise.all(photo.faces.map((face) => decoded(face, photo.view)));
    region.#asFound();
    return region;
  }

  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#next.length > 0; }

  /** As the server found it. */
  reset() { this.#change(() => this.#asFound()); }

  /** No region at all. */
  clear() {
    this.#change(() => {
      this.#wipe();
      this.chosen = this.chosen.map(() => false);
    });
  }

  /** Take a face's region in, or out with all that was painted around its box. */
  choose(number, wanted) {
    this.#change((to) => {
      this.chosen[number] = wanted;
      if (wanted) return to.drawImage(this.found[number], 0, 0);
      const [left, top, right, bottom] = this.boxes[number], x = (right - left) / 6, y = (bottom - top) / 6;
      to.clearRect(left - x, top - y, right - left + 2 * x, bottom - top + 2 * y);
    });
  }

  /** Wider by a step (`by` 1) or narrower (-1). */
  grow(by) {
    const widest = Math.max(...this.boxes.map(([left, , right]) => right - left));
    const reach = Math.max(1, STEP * widest);
    this.#change((to) => {
      const moved = by > 0 ? copy(this.canvas) : this.#outside();
      to.globalCompositeOperation = by > 0 ? "source-over" : "destination-out";
      for (let k = 0; k < TURNS; k++) {
        const angle = 2 * Math.PI * k / TURNS;
        to.drawImage(moved, reach * Math.cos(angle), reach * Math.sin(angle));
      }
      to.globalCompositeOperation = "source-over";
    });
  }

  /** Begin a stroke of a width; gives what a drag needs: move, end, cancel. */
  stroke(at, width, erasing) {
    const before = this.#state();
    let last = at;
    const paint = (to) => {
      const on = this.canvas.getContext("2d");
      on.globalCompositeOperation = erasing ? "destination-out" : "source-over";
      on.strokeStyle = TINT;
      on.lineWidth = width;
      on.lineCap = "round";
      on.beginPath();
      on.moveTo(...last);
      on.lineTo(to[0] + 0.01, to[1]); // a line of no length would draw nothing
      on.stroke();
      on.globalCompositeOperation = "source-over";
      last = to;
    };
    paint(at);
    return {
      move: paint,
      end: () => { this.#keep(before); this.edited = true; this.#changed(); },
      cancel: () => this.#become(before),
    };
  }

  undo() {
    if (!this.canUndo) return;
    this.#next.push(this.#state());
    this.#become(this.#past.pop());
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.#state());
    this.#become(this.#next.pop());
  }

  /** Whether nothing is marked. */
  get isEmpty() {
    if (this.#empty === null) {
      const { data } = this.canvas.getContext("2d").getImageData(0, 0, this.canvas.width, this.canvas.height);
      this.#empty = !data.some((value, i) => i % 4 === 3 && value > 127);
    }
    return this.#empty;
  }

  /** A gray picture for the server, white on black; null where it is what the server found. */
  async picture() {
    if (!this.edited) return null;
    const out = copy(this.canvas), to = out.getContext("2d");
    for (const [how, color] of [["source-in", "#fff"], ["destination-over", "#000"]]) {
      to.globalCompositeOperation = how;
      to.fillStyle = color;
      to.fillRect(0, 0, out.width, out.height);
    }
    return new Promise((given) => out.toBlob(given, "image/png"));
  }

  #asFound() {
    this.#wipe();
    this.chosen = this.found.map(Boolean);
    for (const one of this.found) if (one) this.canvas.getContext("2d").drawImage(one, 0, 0);
    this.edited = false;
  }

  #change(how) {
    this.#keep(this.#state());
    this.edited = true;
    how(this.canvas.getContext("2d"));
    this.#changed();
  }

  #state() {
    return { canvas: copy(this.canvas), edited: this.edited, chosen: [...this.chosen] };
  }

  #keep(state) {
    this.#past.push(state);
    if (this.#past.length > KEPT) this.#past.shift();
    this.#next = [];
  }

  #become(state) {
    this.#wipe();
    this.canvas.getContext("2d").drawImage(state.canvas, 0, 0);
    Object.assign(this, { edited: state.edited, chosen: state.chosen });
    this.#changed();
  }

  #outside() {
    const out = layer(this.canvas.width, this.canvas.height), to = out.getContext("2d");
    to.fillRect(0, 0, out.width, out.height);
    to.globalCompositeOperation = "destination-out";
    to.drawImage(this.canvas, 0, 0);
    return out;
  }

  #wipe() { this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height); }

  #changed() {
    this.#empty = null;
    this.dispatchEvent(new Event("change"));
  }
}

/** A face's region as a tinted layer, null where it wears no face mask. */
async function decoded(face, [width, height]) {
  if (!face.region) return null;
  const picture = new Image();
  picture.src = `data:image/png;base64,${face.region}`;
  await picture.decode();
  const out = layer(width, height), to = out.getContext("2d");
  to.drawImage(picture, 0, 0, width, height);
  const values = to.getImageData(0, 0, width, height);
  const tint = [1, 3, 5].map((i) => parseInt(TINT.slice(i, i + 2), 16));
  for (let i = 0; i < values.data.length; i += 4) {
    values.data[i + 3] = values.data[i];
    values.data.set(tint, i);
  }
  to.putImageData(values, 0, 0);
  return out;
}
