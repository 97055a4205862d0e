/**
 * A typed event emitter without platform parts, so that it is the same in a browser and in Node.
 */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Set<(payload: never) => void>>();

  /** Calls `listener` on every `type` from now on; answers a function that stops it. */
  on<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void): () => void {
    let listeners = this.#listeners.get(type);
    if (listeners === undefined) {
      listeners = new Set();
      this.#listeners.set(type, listeners);
    }
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Calls `listener` on the next `type` only. */
  once<Type extends keyof Events>(type: Type, listener: (payload: Events[Type]) => void): () => void {
    const off = this.on(type, (payload) => {
      off();
      listener(payload);
    });
    return off;
  }

  /**
   * A listener that throws must not keep the others, or the connection, from going on: its error
   * surfaces on its own.
   */
  emit<Type extends keyof Events>(type: Type, payload: Events[Type]): void {
    const listeners = this.#listeners.get(type);
    if (listeners === undefined) return;
    for (const listener of [...listeners]) {
      try {
        (listener as (payload: Events[Type]) => void)(payload);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
