/** The SDK in Chromium behind networks that break, delay, lose and slow what they carry. */
// slow: waits for delays and timeouts
import { build } from 'esbuild';
import t from 'tap';
import type { FaultViewer } from '../client/fault-viewer.ts';
import { runFaults } from '../client/faults.ts';
import { ROOT } from '../support/root.ts';
import { launchChromium, skip } from './chromium.ts';

type Page = { FaultViewer: typeof FaultViewer; viewers: FaultViewer[] };

/** Returns the viewer as a script that sets `globalThis.FaultViewer`. */
async function bundle(): Promise<string> {
  const contents = `import { FaultViewer } from './test/client/fault-viewer.ts';
    Object.assign(globalThis, { FaultViewer, viewers: [] });`;
  const stdin = { contents, resolveDir: ROOT, loader: 'ts' } as const;
  const { outputFiles } = await build({ stdin, bundle: true, format: 'iife', platform: 'browser', write: false });
  return outputFiles[0]?.text ?? '';
}

t.test('in a page, on broken networks: the same promises (I4, I7)', { skip }, async (t) => {
  const page = await (await launchChromium(t)).newPage();
  // Unhandled rejections are among them.
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.addScriptTag({ content: await bundle() });
  let opened = 0;
  await runFaults(t, async (options) => {
    const index = opened++;
    await page.evaluate(
      ([at, chosen]) => {
        const { FaultViewer: Viewer, viewers } = globalThis as unknown as Page;
        viewers[at] = new Viewer(chosen);
      },
      [index, options] as const,
    );
    const press = (key: string) =>
      page.evaluate(([at, pressed]) => (globalThis as unknown as Page).viewers[at]?.press(pressed) ?? '', [
        index,
        key,
      ] as const);
    const facts = () =>
      page.evaluate(
        (at) => (globalThis as unknown as Page).viewers[at]?.facts() as ReturnType<FaultViewer['facts']>,
        index,
      );
    return { press, facts };
  });
  t.same(errors, []);
});
