/** The SDK in Node.js behind networks that break, delay, lose and slow what they carry. */
// slow: waits for delays and timeouts
import t from 'tap';
import { WebSocket } from 'ws';
import { FaultViewer } from './fault-viewer.ts';
import { runFaults } from './faults.ts';

t.test('on broken networks no event is missing, no key buys twice, each call has its result (I4, I7)', async (t) => {
  // An unhandled rejection fails the test.
  await runFaults(t, async (options) => {
    const viewer = new FaultViewer({ ...options, WebSocket });
    t.teardown(() => viewer.close());
    return { press: (key) => viewer.press(key), facts: async () => viewer.facts() };
  });
});
