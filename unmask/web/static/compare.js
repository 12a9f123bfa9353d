// Before and after in one picture: a seam that is dragged, or moved by the range that lies over the photo.

const NEAR = 28; // pixels of the screen from the seam at which it is taken hold of in a zoomed photo
const KNOB = 18; // pixels of the screen, its radius

/** A picture that grows sharp when it is looked at closely: a small one at once, the file itself where it can be shown. */
export class Sharp {
  constructor(small, file) {
    Object.assign(this, { small, file, large: null });
  }

  /** What to paint where a pixel of the small one gets `dense` pixels of the screen; `ready` hears of a better one. */
  at(dense, ready) {
    if (dense > 1.1 && this.file) {
      const url = URL.createObjectURL(this.file), large = new Image(), { naturalWidth: w, naturalHeight: h } = this.small;
      this.file = null;
      large.src = url;
      large.decode().then(() => {
        const alike = Math.abs(large.naturalWidth / large.naturalHeight / (w / h) - 1) < 0.01;
        if (alike && large.naturalWidth > w) { this.large = large; ready(); }
      }).catch(() => {}).finally(() => URL.revokeObjectURL(url)); // a format that the browser does not show
    }
    return this.large || this.small;
  }
}

export class Compare {
  /** `slide` is the range; `changed` hears of every move. */
  constructor(slide, changed) {
    Object.assign(this, { slide, changed, holding: false });
    slide.addEventListener("input", () => this.#moved());
    slide.addEventListener("focus", changed);
    slide.addEventListener("blur", changed);
    this.#moved();
  }

  /** Paint two pictures ([Sharp, Sharp], and where the guesses differ or null) in pixels of the view. */
  draw(to, stage, before, after, spread) {
    const [width, height] = stage.view, dense = stage.scale * (window.devicePixelRatio || 1);
    const [left, top, right, bottom] = stage.seen, seam = left + (right - left) * this.slide.value / 100;
    const ready = () => stage.draw(), old = before.at(dense, ready), fresh = after.at(dense, ready);
    Object.assign(this.slide.style, { left: `${left}px`, width: `${right - left}px` });
    to.drawImage(this.holding ? old : fresh, 0, 0, width, height);
    if (this.holding) return this.#tag(to, stage, "original", left, top, 1);
    if (spread) {
      to.globalCompositeOperation = "screen";
      to.drawImage(spread, 0, 0, width, height);
      to.globalCompositeOperation = "source-over";
    }
    to.save();
    to.beginPath();
    to.rect(0, 0, stage.toView([seam, 0])[0], height);
    to.clip();
    to.drawImage(old, 0, 0, width, height);
    to.restore();
    this.#seam(to, stage, seam, top, bottom);
    if (seam - left > 90) this.#tag(to, stage, "before", left, top, 1);
    if (right - seam > 130) this.#tag(to, stage, "after: a guess", right, top, -1);
  }

  /** A drag that begins here moves the seam, or null where it is to move the photo. */
  begin(stage, x) {
    const [left, , right] = stage.seen, seam = left + (right - left) * this.slide.value / 100;
    if (stage.zoom > 1.001 && Math.abs(x - seam) > NEAR) return null;
    const follow = (_, [at]) => {
      const [from, , end] = stage.seen;
      this.slide.value = Math.round(100 * (at - from) / (end - from));
      this.#moved();
    };
    follow(null, [x]);
    return { move: follow };
  }

  hold(on) {
    this.holding = on;
    this.changed();
  }

  #moved() {
    this.slide.setAttribute("aria-valuetext", `${this.slide.value} % before, ${100 - this.slide.value} % after`);
    this.changed();
  }

  #seam(to, stage, x, top, bottom) {
    const one = 1 / stage.scale, [at, from] = stage.toView([x, top]), end = stage.toView([x, bottom])[1];
    const middle = (from + end) / 2, focused = document.activeElement === this.slide;
    to.lineWidth = 2 * one;
    to.strokeStyle = "#fff";
    to.shadowColor = "#0008";
    to.shadowBlur = 4;
    to.beginPath();
    to.moveTo(at, from);
    to.lineTo(at, end);
    to.stroke();
    to.beginPath();
    to.arc(at, middle, KNOB * one, 0, 2 * Math.PI);
    to.fillStyle = focused ? "#4f46e5" : "#fff";
    to.fill();
    to.shadowBlur = 0;
    if (focused) to.stroke();
    to.strokeStyle = focused ? "#fff" : "#1f2430";
    to.lineCap = to.lineJoin = "round";
    to.beginPath();
    for (const way of [-1, 1]) {
      to.moveTo(at + way * 5 * one, middle - 5 * one);
      to.lineTo(at + way * 10 * one, middle);
      to.lineTo(at + way * 5 * one, middle + 5 * one);
    }
    to.stroke();
  }

  /** A word in the corner of the photo; `side` 1 begins at x, -1 ends there. */
  #tag(to, stage, words, x, y, side) {
    const one = 1 / stage.scale;
    to.font = `600 ${13 * one}px system-ui, sans-serif`;
    const wide = to.measureText(words).width + 20 * one, [at, top] = stage.toView([x + side * 10, y + 10]);
    to.fillStyle = "#10131ab8";
    to.beginPath();
    to.roundRect(side > 0 ? at : at - wide, top, wide, 26 * one, 13 * one);
    to.fill();
    to.fillStyle = "#fff";
    to.fillText(words, (side > 0 ? at : at - wide) + 10 * one, top + 17.5 * one);
  }
}
