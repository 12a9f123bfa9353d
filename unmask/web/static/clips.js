// Clips of this page in the strip: sent, waited for with their progress, and fetched. They are not edited.

import * as api from "./api.js";
import { make } from "./photos.js";

export const isClip = (file) => file.type.startsWith("video/") || /\.(mp4|mov|m4v|mkv|webm|avi)$/i.test(file.name);

/** One clip on its way. */
class Clip {
  constructor(file, { onRemove }) {
    Object.assign(this, { file, name: file.name || "clip", id: null, busy: false, removed: false, result: null });
    this.words = make("span", { className: "quiet" });
    this.bar = make("progress", { hidden: true });
    this.bar.setAttribute("aria-label", `Progress of ${this.name}`);
    this.link = make("a", { className: "button", textContent: "Download", hidden: true });
    this.link.setAttribute("aria-label", `Download ${this.name} restored`);
    const drop = make("button", { type: "button", className: "plain drop", textContent: "\u00d7", title: "Remove" });
    drop.setAttribute("aria-label", `Remove ${this.name}`);
    drop.addEventListener("click", () => onRemove(this));
    this.item = make("li", {}, make("div", { className: "clip" },
      make("span", { className: "words" }, make("span", { className: "name", textContent: this.name }), this.words, this.bar),
      this.link), drop);
  }

  /** What is said of it; `mood` is "", "busy", "done" or "bad". */
  mark(words, mood = "") {
    this.words.textContent = words;
    this.words.title = words;
    this.item.className = mood;
    this.bar.hidden = mood !== "busy";
  }

  #told(state) {
    this.id = state.id || this.id;
    if (this.removed) throw new api.Refused("removed");
    if (state.state === "working") {
      const { frames, frames_in_all: all } = state;
      if (all) Object.assign(this.bar, { max: all, value: Math.min(frames, all) });
      this.mark(all ? `frame ${frames} of about ${all}` : `frame ${frames}`, "busy");
    } else if (state.state !== "done") {
      this.bar.removeAttribute("value");
      this.mark(state.state === "busy" ? "waiting: the server is busy" : "waiting", "busy");
    }
  }

  /** Have the server restore it and take what comes of it; what went wrong is thrown. */
  async restore() {
    this.busy = true;
    try {
      const job = await api.doneClip(this.file, (state) => this.#told(state));
      const blob = await api.fetched(api.clip(job.id));
      this.result = job.clip;
      Object.assign(this.link, { href: URL.createObjectURL(blob), download: job.clip.filename, hidden: false });
      this.mark(`${job.clip.summary}, a guess`, "done");
    } finally {
      if (this.id) api.forget(this.id);
      this.id = null;
      this.busy = false;
    }
  }
}

/** All clips of the page, in its line; `tell` says, complains and hears of changes. */
export class Clips {
  #all = new Set();
  #line;
  #tell;

  constructor(line, tell) {
    this.#line = line;
    this.#tell = tell;
  }

  get count() { return this.#all.size; }

  /** Restore a clip at once, as it has no region to look at; gives its place in the strip. */
  add(file) {
    const clip = new Clip(file, { onRemove: () => this.#remove(clip) });
    this.#all.add(clip);
    clip.mark("waiting", "busy");
    this.#restore(clip);
    return clip.item;
  }

  /** Let the server drop what is still in work. */
  forget() {
    for (const { id } of this.#all) if (id) api.forget(id);
  }

  async #restore(clip) {
    try {
      if (this.#tell.fault(clip.file)) throw new api.Refused(this.#tell.fault(clip.file));
      await this.#line.add(async () => { if (!clip.removed) await clip.restore(); });
      if (!clip.removed) this.#tell.say(`${clip.name}: restored`);
    } catch (error) {
      if (clip.removed) return;
      clip.mark(error.message, "bad");
      this.#tell.complain(`${clip.name}: ${error.message}`);
    }
  }

  #remove(clip) {
    clip.removed = true;
    this.#all.delete(clip);
    clip.item.remove();
    URL.revokeObjectURL(clip.link.href);
    if (clip.id) api.forget(clip.id);
    this.#tell.changed();
    document.getElementById("file").focus();
    this.#tell.say(`${clip.name} removed`);
  }
}
