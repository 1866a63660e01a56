/** A clock, and carriers that a test drives by hand. */

export class FakeClock {
  time = 0;
  #next = 1;
  #timers = new Map();

  setTimer = (run, ms) => {
    const id = this.#next++;
    this.#timers.set(id, { at: this.time + ms, run });
    return id;
  };

  clearTimer = (id) => void this.#timers.delete(id);
  now = () => this.time;

  /** Runs every timer that falls due, in order. */
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, { at }]) => at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.#timers.delete(due[0]);
      this.time = due[1].at;
      due[1].run();
    }
    this.time = end;
  }
}

export class FakeNetwork {
  /** Every carrier that was opened, in order. */
  carriers = [];

  open = (kind) => (...args) => {
    const events = args.at(-1);
    const carrier = {
      kind,
      events,
      sent: [],
      closed: false,
      send: (message) => carrier.sent.push(message),
      close: () => {
        carrier.closed = true;
      },
    };
    this.carriers.push(carrier);
    return carrier;
  };

  get last() {
    return this.carriers.at(-1);
  }
}

/** Lets promises settle. */
export const settled = () => new Promise((resolve) => setImmediate(resolve));
