import type { Test } from 'tap';
import { type Control, startControl } from './harness.ts';

const UNGATED = new Set<string | symbol>(['alone', 'once', 'now', 'nowErrorMs', 'trouble', 'durability']);

export interface TwoProcesses {
  readonly slow: Control;
  readonly quick: Control;
  /** Makes the store of `slow` wait. Returns a function that opens the gate. */
  closeGate(): () => void;
  /** Resolves with the names of the markers of running commands when there is one. */
  markers(show: string): Promise<string[]>;
}

/** Starts two processes on one Redis. */
export async function twoProcesses(t: Test): Promise<TwoProcesses> {
  const options = { demoTokens: true };
  const quick = await startControl(t, { options });
  let gate: Promise<void> | undefined;
  const store = new Proxy(quick.store, {
    get(real, name) {
      const part = Reflect.get(real, name);
      if (typeof part !== 'function' || UNGATED.has(name)) return part;
      return async (...args: unknown[]) => {
        await gate;
        return part(...args);
      };
    },
  });
  return {
    slow: await startControl(t, { beside: quick, store, options }),
    quick,
    closeGate() {
      let open = (): void => {};
      gate = new Promise((resolve) => {
        open = resolve;
      });
      return open;
    },
    async markers(show) {
      const pattern = `${quick.keyPrefix}{${show}}:running:*`;
      for (;;) {
        const names = await quick.redis.client().keys(pattern);
        if (names.length > 0) return names;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
}
