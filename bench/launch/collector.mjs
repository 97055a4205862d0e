// Preloaded into the engine: on request it collects all garbage and reports what is left.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

if (process.channel) {
  process.on('message', (message) => {
    if (message?.kind !== 'collect') return;
    setFlagsFromString('--expose-gc');
    globalThis.gc ??= runInNewContext('gc');
    globalThis.gc();
    // Freed array buffers are subtracted in the next turn.
    setImmediate(() => {
      const { heapUsed, external } = process.memoryUsage();
      process.send?.({ heapBytes: heapUsed, externalBytes: external });
    });
  });
  process.channel.unref();
}
