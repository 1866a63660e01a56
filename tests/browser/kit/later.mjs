/**
 * Does things at their times: in the order of these, then in that of asking, never early. On a busy machine all of it
 * may be late, but order is kept, which timers of different lengths do not promise. A time that has come, with nothing
 * before it, is now: such things are done before `at` returns.
 */
export class Later {
  #waiting = [];
  #timer = null;

  /** @param {number} time by `performance.now()` @param {() => void} action */
  at(time, action) {
    if (this.#waiting.length === 0 && time <= performance.now()) {
      action();
      return;
    }
    let place = this.#waiting.length;
    while (place > 0 && this.#waiting[place - 1].time > time) place -= 1;
    this.#waiting.splice(place, 0, { time, action });
    if (place === 0) this.#arm();
  }

  /** Forgets all that was to be done. */
  clear() {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }

  #arm() {
    clearTimeout(this.#timer);
    if (this.#waiting.length === 0) return;
    const wait = this.#waiting[0].time - performance.now();
    // What waits must not keep a run from ending.
    this.#timer = setTimeout(() => this.#fire(), Math.max(0, Math.ceil(wait))).unref();
  }

  #fire() {
    const now = performance.now();
    while (this.#waiting.length > 0 && this.#waiting[0].time <= now) this.#waiting.shift().action();
    this.#arm();
  }
}
