// Loaded into an engine of the bench's own: on request it collects all garbage and tells whoever
// started it what is left.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

if (process.channel) {
  process.on('message', (message) => {
    if (message?.kind !== 'collect') return;
    setFlagsFromString('--expose-gc');
    globalThis.gc ??= runInNewContext('gc');
    globalThis.gc();
    // Freed array buffers are taken off the account a moment later.
    setImmediate(() => {
      const { heapUsed, external } = process.memoryUsage();
      process.send?.({ heapBytes: heapUsed, externalBytes: external });
    });
  });
  process.channel.unref();
}
