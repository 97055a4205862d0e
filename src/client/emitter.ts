/** A typed event emitter for browsers and Node. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();

  /** Adds a listener. Returns a function that removes it. */
  on<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void): () => void {
    let listeners = this.#listeners.get(type);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(type, listeners);
    }
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Adds a listener for the next event only. */
  once<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void): () => void {
    const off = this.on(type, (payload) => {
      off();
      listener(payload);
    });
    return off;
  }

  /** Removes all listeners, also during an event. */
  clear(): void {
    for (const listeners of this.#listeners.values()) listeners.clear();
  }

  /** Errors of listeners are rethrown later, so that they stop no other listener. */
  emit<Type extends keyof Events>(type: Type, payload: Events[Type]): void {
    const listeners = this.#listeners.get(type);
    if (listeners === undefined) return;
    for (const listener of [...listeners]) {
      // One before it may have removed it.
      if (!listeners.has(listener)) continue;
      try {
        (listener as (payload: Events[Type]) => void)(payload);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
