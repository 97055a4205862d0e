/** The example without the SDK, src/protocol/examples/viewer.js, in Chromium. */
import { join } from 'node:path';
import t from 'tap';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';
import { serveFolder } from '../support/serve-folder.ts';
import { launchChromium, skip } from './chromium.ts';

interface Watched {
  request(message: object): Promise<ServerMessage>;
  close(): void;
}
type Watch = (options: object) => Watched;

t.test('a page without the SDK chats, buys once and gets the chat of others', { skip }, async (t) => {
  const engine = await startLiveEngine(t);
  const skus = [{ sku: 'TEE-M', product: 'tee', price: 1990, quantity: 3 }];
  const sale = { id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 1, holdMs: 60_000, durationMs: 60_000 };
  await engine.office.createSale(SHOW, { ...sale, opensInMs: 0, skus }, 'k-drop');
  const page = await (await launchChromium(t)).newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  const folder = await serveFolder(t, join(ROOT, 'src/protocol/examples'));
  await page.goto(`${folder}/viewer.js`);

  await page.addScriptTag({ type: 'module', content: "import { watch } from './viewer.js'; window.watch = watch;" });
  await page.waitForFunction('window.watch');
  const options = { url: engine.gatewayUrl, show: SHOW, token: await engine.token('ana') };
  const found = await page.evaluate(
    async ([where]) => {
      const { watch } = globalThis as unknown as { watch: Watch };
      const messages: ServerMessage[] = [];
      const viewer = await new Promise<Watched>((welcomed) => {
        const made: Watched = watch({
          ...where,
          onMessage(message: ServerMessage) {
            messages.push(message);
            if (message.t === 'welcome') setTimeout(() => welcomed(made));
          },
        });
      });
      const chat = await viewer.request({ t: 'chat', text: 'from a page' });
      const press = { t: 'reserve', key: 'press-1', sale: 'drop', lines: [{ sku: 'TEE-M', qty: 1 }] };
      const [first, second] = [await viewer.request(press), await viewer.request(press)];
      while (!JSON.stringify(messages).includes('from a page')) await new Promise((resolve) => setTimeout(resolve, 20));
      viewer.close();
      return { chat, first, second };
    },
    [options] as const,
  );
  t.match(found, {
    chat: { t: 'ok' },
    first: { t: 'ok', data: { reservation: { state: 'held' } } },
    second: { t: 'ok', data: { replayed: true } },
  });
  t.same(errors, []);
});
