// Where the open photo is shown: a canvas that fills its place, with zoom by wheel and pinch, and moving.

const EDGE = 16; // pixels left free around a whole photo
const MOST = 40; // pixels of the screen that a pixel of the view may get at most
const LINE = 16; // pixels of a line, where a wheel counts in lines

/**
 * `actions` are what the page does with it: `draw(to)` paints in pixels of the view; `begin(at, on)`, of a place in the
 * view and on the screen, gives what follows a drag ({move(at, on), end, cancel}), or null where it moves the photo; and
 * `hover(at)` hears where the pointer is.
 */
export class Stage {
  constructor(canvas, actions) {
    Object.assign(this, { canvas, actions, view: null, zoom: 1, middle: [0, 0], fingers: new Map(), drag: null });
    this.panning = false; // a key says so
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#up(event));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  /** Show a picture of [width, height]. */
  open(view) {
    this.view = view;
    this.fit();
  }

  close() {
    this.view = null;
    this.canvas.width = this.canvas.height = 1; // which wipes it
  }

  fit() {
    this.zoom = 1;
    this.middle = this.view.map((side) => side / 2);
    this.draw();
  }

  /** Zoom by a factor around a place on the screen, the middle of the stage where none is given. */
  zoomBy(factor, at = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    const before = this.toView(at);
    this.zoom = Math.min(Math.max(1, MOST / this.#whole()), Math.max(1, this.zoom * factor));
    this.#shift(before, at);
  }

  /** Pixels of the screen for one of the view. */
  get scale() { return this.#whole() * this.zoom; }

  toView([x, y]) {
    return [this.middle[0] + (x - this.canvas.clientWidth / 2) / this.scale,
            this.middle[1] + (y - this.canvas.clientHeight / 2) / this.scale];
  }

  toScreen([x, y]) {
    return [this.canvas.clientWidth / 2 + (x - this.middle[0]) * this.scale,
            this.canvas.clientHeight / 2 + (y - this.middle[1]) * this.scale];
  }

  /** The part of the photo that is seen: left, top, right, bottom on the screen. */
  get seen() {
    const [left, top] = this.toScreen([0, 0]), [right, bottom] = this.toScreen(this.view);
    return [Math.max(0, left), Math.max(0, top),
            Math.min(this.canvas.clientWidth, right), Math.min(this.canvas.clientHeight, bottom)];
  }

  draw() {
    if (!this.view || this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      if (!this.view) return;
      this.#clamp();
      const { canvas, scale } = this, dense = window.devicePixelRatio || 1, to = canvas.getContext("2d");
      const size = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * dense)));
      if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
      const [left, top] = this.toScreen([0, 0]);
      to.setTransform(1, 0, 0, 1, 0, 0);
      to.clearRect(0, 0, ...size);
      to.setTransform(dense * scale, 0, 0, dense * scale, dense * left, dense * top);
      to.imageSmoothingQuality = "high";
      this.actions.draw(to);
    });
  }

  /** Screen pixels per view pixel of a whole photo. */
  #whole() {
    const free = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => Math.max(1, side - 2 * EDGE));
    return Math.min(free[0] / this.view[0], free[1] / this.view[1]);
  }

  /** Move the photo so that a place of the view lies under a place on the screen. */
  #shift(place, at) {
    const now = this.toView(at);
    this.middle = this.middle.map((side, i) => side + place[i] - now[i]);
    this.draw();
  }

  /** Keep the photo where it can be seen: no further than its edges, in the middle where it is smaller. */
  #clamp() {
    const half = [this.canvas.clientWidth, this.canvas.clientHeight].map((side) => (side / 2 - EDGE) / this.scale);
    this.middle = this.middle.map((at, i) => half[i] * 2 >= this.view[i]
      ? this.view[i] / 2 : Math.min(this.view[i] - half[i], Math.max(half[i], at)));
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (!this.view || event.button > 1) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, this.#at(event));
    if (this.fingers.size === 2) {
      this.drag?.cancel?.();
      this.drag = this.#pinch();
    } else if (this.fingers.size === 1) {
      const at = this.#at(event);
      this.drag = (event.button === 1 || this.panning ? null : this.actions.begin(this.toView(at), at)) || this.#pan(at);
    }
    this.draw();
  }

  #move(event) {
    const at = this.#at(event);
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, at);
    if (!this.view || !event.isPrimary && this.fingers.size < 2) return;
    this.drag?.move?.(this.toView(at), at);
    this.actions.hover(this.toView(at));
    this.draw();
  }

  #up(event) {
    if (!this.fingers.delete(event.pointerId)) return;
    if (event.type === "pointercancel") this.drag?.cancel?.();
    else if (!this.fingers.size) this.drag?.end?.();
    if (!this.fingers.size) this.drag = null;
    else this.drag = {}; // one finger of two is left: it does nothing until it is lifted
    this.draw();
  }

  #pan(start) {
    const place = this.toView(start);
    return { pans: true, move: (_, at) => this.#shift(place, at) };
  }

  #pinch() {
    const two = () => {
      const [a, b] = this.fingers.values();
      return { at: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], apart: Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1])) };
    };
    const first = two(), place = this.toView(first.at), zoom = this.zoom;
    return { move: () => {
      const now = two();
      this.zoomBy(zoom * now.apart / first.apart / this.zoom, now.at);
      this.#shift(place, now.at);
    } };
  }

  #wheel(event) {
    if (!this.view) return;
    event.preventDefault();
    const lines = event.deltaY * (event.deltaMode === 1 ? LINE : 1);
    this.zoomBy(Math.exp(-lines * (event.ctrlKey ? 0.01 : 0.002)), this.#at(event));
  }
}
