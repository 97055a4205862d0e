/** A typed event emitter for browsers and Node. */
export class Emitter<Events extends object> {
  readonly #listeners = new Set<readonly [type: keyof Events, call: (payload: never) => void]>();

  /** Adds a listener, or `call` for it. Returns a function that removes it. */
  on<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void, call = listener): () => void {
    if (typeof listener !== 'function') throw new TypeError('Pass a function.');
    const entry = [type, call] as const;
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Adds a listener for the next event only. */
  once<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void): () => void {
    const off = this.on(type, listener, (payload) => {
      off();
      listener(payload);
    });
    return off;
  }

  /** Removes all listeners, also during an event. */
  clear(): void {
    this.#listeners.clear();
  }

  /** Errors of listeners are rethrown later, so that they stop no other listener. */
  emit<Type extends keyof Events>(type: Type, payload: Events[Type]): void {
    for (const entry of [...this.#listeners]) {
      const [listened, call] = entry;
      // One before it may have removed it.
      if (listened !== type || !this.#listeners.has(entry)) continue;
      try {
        (call as (payload: Events[Type]) => void)(payload);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
