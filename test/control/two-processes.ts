import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { startControl } from './harness.ts';

const UNGATED = new Set<string | symbol>(['alone', 'once', 'now', 'nowErrorMs', 'trouble', 'refusal', 'durability']);

/** Starts two processes on one Redis. */
export async function twoProcesses(t: Test) {
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
    /** Makes the store of `slow` wait. Returns a function that opens the gate. */
    closeGate() {
      let open = (): void => {};
      gate = new Promise((resolve) => (open = resolve));
      return open;
    },
    /** Resolves with the names of the markers of running commands when there is one. */
    async markers(show: string): Promise<string[]> {
      const pattern = `${quick.keyPrefix}{${show}}:running:*`;
      for (;;) {
        const names = await quick.redis.client().keys(pattern);
        if (names.length > 0) return names;
        await sleep(2);
      }
    },
  };
}
