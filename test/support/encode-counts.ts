import type { EncodeCounts } from '../../src/fanout/frames.ts';

export const newEncodeCounts = (): EncodeCounts => ({ json: 0, msgpack: 0, 'msgpack.deflate': 0 });
