// The brush on the stage: what is painted over the photo while its region is edited, by pointer, touch or keyboard.


const STEP = 8; // pixels of the screen that an arrow key moves the brush; with Shift, five times as far

export class Brush {
  /** `size` and `tool` give the width in pixels of the screen, and "add", "erase" or "move". */
  constructor(stage, size, tool) {
    Object.assign(this, { stage, size, tool, at: null });
    stage.canvas.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["pointerleave", "blur"]) stage.canvas.addEventListener(name, () => { this.at = null; stage.draw(); });
  }

  /** What follows a drag that begins here; null where the tool moves the photo. */
  begin(region, at) {
    this.at = at;
    return this.tool() === "move" ? null : region.stroke(at, this.size() / this.stage.scale, this.tool() === "erase");
  }

  draw(to, photo) {
    const { view, scale } = this.stage, { region } = photo, one = 1 / scale;
    this.region = region;
    const dense = scale * (window.devicePixelRatio || 1);
    to.drawImage(photo.before.at(dense, () => this.stage.draw()), 0, 0, ...view);
    to.globalAlpha = 0.5;
    to.drawImage(region.canvas, 0, 0);
    to.globalAlpha = 1;
    region.boxes.forEach((box, i) => this.#box(to, box, region.boxes.length > 1 ? `${i + 1}` : "", one));
    if (!this.at || this.tool() === "move") return;
    for (const [color, wide] of [["#0009", 3.5], [this.tool() === "erase" ? "#ffd23f" : "#fff", 1.75]]) {
      to.strokeStyle = color;
      to.lineWidth = wide * one;
      to.beginPath();
      to.arc(...this.at, this.size() / 2 * one, 0, 2 * Math.PI);
      to.stroke();
    }
  }

  /** The corners of a face's box, and its number. */
  #box(to, [left, top, right, bottom], words, one) {
    const long = Math.min(right - left, bottom - top) / 6;
    to.lineCap = to.lineJoin = "round";
    for (const [color, wide] of [["#0008", 4], ["#fff", 2]]) {
      to.strokeStyle = color;
      to.lineWidth = wide * one;
      to.beginPath();
      for (const [x, y, dx, dy] of [[left, top, 1, 1], [right, top, -1, 1], [right, bottom, -1, -1], [left, bottom, 1, -1]]) {
        to.moveTo(x + dx * long, y);
        to.lineTo(x, y);
        to.lineTo(x, y + dy * long);
      }
      to.stroke();
    }
    if (!words) return;
    to.font = `600 ${13 * one}px system-ui, sans-serif`;
    const wide = to.measureText(words).width + 14 * one;
    to.fillStyle = "#10131ab8";
    to.beginPath();
    to.roundRect(left + 6 * one, top + 6 * one, wide, 22 * one, 11 * one);
    to.fill();
    to.fillStyle = "#fff";
    to.fillText(words, left + 13 * one, top + 21.5 * one);
  }

  #key(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.region || (!way && event.key !== "Enter")) return;
    event.preventDefault();
    const { view, scale } = this.stage, before = this.at || view.map((side) => side / 2);
    const far = STEP / scale * (event.shiftKey ? 5 : 1);
    this.at = way ? before.map((side, i) => Math.min(view[i], Math.max(0, side + way[i] * far))) : before;
    if (!way) this.begin(this.region, before)?.end();
    this.stage.draw();
  }
}

