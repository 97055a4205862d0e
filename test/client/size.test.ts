/** What the SDK adds to a page, as a bundler delivers it: minified and gzipped. */
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import t from 'tap';
import { ROOT } from '../support/root.ts';

const KIB = 1024;

async function gzippedBytes(code: string): Promise<number> {
  const stdin = { contents: code, resolveDir: ROOT, loader: 'ts' } as const;
  const options = { bundle: true, minify: true, format: 'esm', platform: 'browser', write: false } as const;
  const { outputFiles } = await build({ ...options, stdin });
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length;
}

const CONNECT = "import { connect } from './src/client/index.ts'; Object.assign(globalThis, { connect";
const MSGPACK = "import { msgpack } from './src/client/msgpack.ts';";
const DEFLATE = "import { deflate } from './src/client/deflate.ts';";

t.test('the SDK has at most 8 KiB with JSON, 15 KiB with MessagePack, and 17 KiB with deflate', async (t) => {
  const json = await gzippedBytes(`${CONNECT} });`);
  t.ok(json <= 8 * KIB, `${json} bytes`);
  const msgpack = await gzippedBytes(`${MSGPACK} ${CONNECT}, msgpack });`);
  t.ok(msgpack > json && msgpack <= 15 * KIB, `${msgpack} bytes`);
  const deflate = await gzippedBytes(`${DEFLATE} ${CONNECT}, deflate });`);
  t.ok(deflate > msgpack && deflate <= 17 * KIB, `${deflate} bytes`);
});
