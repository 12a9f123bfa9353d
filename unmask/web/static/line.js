// The page's own line: what is to be done for its photos, a little at a time, so that the server's line stays short.

const AT_ONCE = 2; // one is worked on while the next is sent

export class Line {
  #waiting = [];
  #busy = 0;

  /** Do `work` when its turn comes, before what waits already if `first`; gives what it gives. */
  add(work, first = false) {
    return new Promise((resolve, reject) => {
      const one = () => work().then(resolve, reject).finally(() => { this.#busy -= 1; this.#next(); });
      if (first) this.#waiting.unshift(one);
      else this.#waiting.push(one);
      this.#next();
    });
  }

  #next() {
    while (this.#busy < AT_ONCE && this.#waiting.length) {
      this.#busy += 1;
      this.#waiting.shift()();
    }
  }
}
