/** The page stays smooth while the chat is busy. */
// slow: counts long frames of a real browser
// alone: what runs beside it makes long frames, too
import t from 'tap';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import type { Engine } from './visitors.ts';

const MESSAGES_PER_SECOND = 100;
const CHATTERS = 50;
const CHAT_SECONDS = 3;
/** Of about 180 frames. What else runs on the machine causes some too. */
const LONG_TASKS_MAX = 5;

t.test('100 chat messages per second cause no long frames, and the document stays small', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const show = await chattyShow(engine);
  const browser = await launchChromium(t);
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  page.setDefaultTimeout(8_000);
  await page.goto(
    `${engine.controlUrl}/watch/${show}?token=${await engine.office.mintToken(show, 'Ana', 'Ana', 'buyer')}`,
  );
  await page.getByText('Connected', { exact: true }).waitFor();
  const chatters = await Promise.all(
    Array.from({ length: CHATTERS }, async (_, i) =>
      engine.join(`c${i}`, { show, token: await engine.office.mintToken(show, `c${i}`, `Chatter ${i}`, 'buyer') }),
    ),
  );
  await page.evaluate(`globalThis.long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask' });`);
  const total = MESSAGES_PER_SECOND * CHAT_SECONDS;
  for (let sent = 0; sent < total; sent += 1) {
    void chatters[sent % CHATTERS]?.chat(`Message ${sent} with some words, so that it has about the usual length`);
    if (sent % 10 === 9) await page.waitForTimeout(10_000 / MESSAGES_PER_SECOND);
  }
  await page.getByText(`Message ${total - 1} with`).waitFor();
  const long = (await page.evaluate('long')) as number[];
  t.ok(long.length <= LONG_TASKS_MAX, `tasks of more than 50 ms: ${long.join(', ')}`);
  t.ok((await page.getByRole('log').locator('.message').count()) <= 120);

  await t.test('who reads older messages is not moved, and can go to the new ones', async (t) => {
    const log = page.getByRole('log');
    await log.evaluate((node) => node.scrollTo(0, 200));
    await page.waitForTimeout(100);
    const topMessage = await log.evaluate((node) => node.scrollTop);
    await chatters[0]?.chat('Something new');
    await page.getByRole('button', { name: '1 new message', exact: true }).waitFor();
    t.equal(await log.evaluate((node) => node.scrollTop), topMessage);
    await page.getByRole('button', { name: '1 new message', exact: true }).click();
    await page.getByText('Something new').waitFor();
    t.equal(await page.getByRole('button', { name: /new message/ }).count(), 0);
  });
});

async function chattyShow({ office }: Engine): Promise<string> {
  const { id } = await office.createShow({ id: 'chatty', title: 'Chatty', guests: true, chatShownPerSecond: 0 });
  await office.startShow(id);
  return id;
}
