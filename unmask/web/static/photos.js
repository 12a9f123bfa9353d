// The photos of this page in a strip of small pictures: each with what it is about, one of them open.

export const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** A small square picture of the part of an image (as wide as `view`) around a box, or of its middle. */
export function closeUp(image, view, box, side = 144) {
  const out = make("canvas", { width: side, height: side }), to = out.getContext("2d");
  const [left, top, right, bottom] = box || [0, 0, ...view];
  const size = box ? 1.4 * Math.max(right - left, bottom - top) : Math.min(...view), half = size / 2;
  const x = (left + right) / 2 - half, y = (top + bottom) / 2 - half, scale = side / size;
  to.imageSmoothingQuality = "high";
  to.drawImage(image, -x * scale, -y * scale, view[0] * scale, view[1] * scale);
  out.setAttribute("aria-hidden", "true");
  return out;
}

/** One photo on its way: the file, what is known of it, its region and its result. It lives in this page alone. */
export class Photo {
  constructor(file, { onOpen, onRemove }) {
    Object.assign(this, { file, name: file.name || "pasted picture", region: null, result: null, busy: false, stale: false });
    this.jobs = new Set();
    this.thumb = make("span", { className: "thumb" });
    this.words = make("span", { className: "quiet" });
    this.pick = make("button", { type: "button", className: "pick" }, this.thumb,
      make("span", { className: "words" }, make("span", { className: "name", textContent: this.name }), this.words));
    this.pick.addEventListener("click", () => onOpen(this));
    const drop = make("button", { type: "button", className: "plain drop", textContent: "\u00d7", title: "Remove" });
    drop.setAttribute("aria-label", `Remove ${this.name}`);
    drop.addEventListener("click", () => onRemove(this));
    this.item = make("li", {}, this.pick, drop);
  }

  get ready() { return Boolean(this.region); }

  /** Whether Restore all would do something here. */
  get wanting() { return this.ready && !this.busy && (!this.result || this.stale) && !this.region.isEmpty; }

  /** What is said of it; `mood` is "", "busy", "done" or "bad". */
  mark(words, mood = "") {
    this.words.textContent = words;
    this.item.className = mood;
    this.pick.title = `${this.name}: ${words}`;
  }

  picture(canvas) {
    this.thumb.replaceChildren(canvas);
  }
}

/** Hand files that are dropped or pasted to `give`, none where there are none. */
export function incoming(give) {
  const dragging = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) give(event.clipboardData.files);
    else if (!event.target.closest("input")) give([]);
  });
  document.addEventListener("dragover", (event) => { event.preventDefault(); dragging(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dragging(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    give(event.dataTransfer.files);
  });
}
