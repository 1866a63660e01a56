/**
 * Holds one state, changes it by a reducer, and tells the page once per burst of changes.
 *
 * Why a microtask and not an animation frame: a name must change in the same frame as the picture above it.
 */

/**
 * @template S, A
 */
export class Store {
  /** @type {S} */ #state;
  /** @type {(state: S, action: A) => S} */ #reduce;
  /** @type {Set<(state: S) => void>} */ #listeners = new Set();
  #scheduled = false;

  /** @param {(state: S, action: A) => S} reduce @param {S} initial */
  constructor(reduce, initial) {
    this.#reduce = reduce;
    this.#state = initial;
  }

  get state() {
    return this.#state;
  }

  /** @param {A} action */
  dispatch(action) {
    const next = this.#reduce(this.#state, action);
    if (next === this.#state) return;
    this.#state = next;
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const listener of [...this.#listeners]) listener(this.#state);
    });
  }

  /** @param {(state: S) => void} listener @returns {() => void} Ends the subscription. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
