/** What hosts do to the chat: a removed message, a muted viewer, slow mode. */
// slow: waits for the end of a mute
import t from 'tap';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { visit } from './visitors.ts';

t.test('a removed message, a mute and slow mode', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  const [{ page: ana, errors }, { page: bo }] = await Promise.all([
    visit(engine, browser, { user: 'Ana', device: 'phone' }),
    visit(engine, browser, { user: 'Bo' }),
  ]);
  const field = ana.getByLabel('Your message');
  const send = ana.getByRole('button', { name: 'Send', exact: true });
  const say = async (text: string): Promise<void> => {
    await field.fill(text);
    await send.click();
  };
  const seenByBo = (text: string) => bo.getByRole('log').getByText(text, { exact: true });

  await t.test('a removed message leaves all pages', async () => {
    await say('Buy at evil.example');
    await seenByBo('Buy at evil.example').waitFor();
    const { messages } = await engine.host<{ messages: Array<{ id: number }> }>('GET', '/chat');
    await engine.host('DELETE', `/chat/${messages.at(-1)?.id}`);
    for (const page of [ana, bo]) await page.locator('.message').waitFor({ state: 'detached' });
  });

  await t.test(
    'a muted viewer reads it at once and after a reload, keeps the text, and can write after it',
    async (t) => {
      const note = ana.locator('.bar-pause');
      await field.fill('Let me in');
      await engine.host('PUT', '/mutes/Ana', { forMs: 60_000 });
      await ana.locator('.toast', { hasText: 'The host has muted you for a while.' }).waitFor();
      t.match(await note.textContent(), /^Muted for (?:1:0[01]|0:5\d)$/);
      t.equal(await send.isDisabled(), true);
      await field.press('Enter');
      t.equal(await field.inputValue(), 'Let me in', 'the text is not lost');
      t.equal(await seenByBo('Let me in').count(), 0);
      await engine.host('DELETE', '/mutes/Ana');
      await ana.locator('.toast', { hasText: 'You can write again.' }).waitFor();
      await note.waitFor({ state: 'detached' });
      await send.click();
      await seenByBo('Let me in').waitFor();

      await engine.host('PUT', '/mutes/Ana', { forMs: 4_000 });
      const muted = ana.getByPlaceholder(/^Muted for/);
      await muted.waitFor();
      t.equal(await note.isVisible(), false, 'an empty field says it by itself');
      await ana.reload();
      await muted.waitFor();
      t.equal(await ana.locator('.toast').count(), 0, 'it is no surprise then');
      await muted.waitFor({ state: 'detached' });
      await say('Sorry');
      await seenByBo('Sorry').waitFor();
    },
  );

  await t.test('slow mode shows the seconds that are left', async (t) => {
    await engine.host('PATCH', '', { slowModeMs: 3_000 });
    await bo.waitForTimeout(300);
    const seenByAna = (text: string) => ana.getByRole('log').getByText(text, { exact: true });
    const send = bo.getByRole('button', { name: 'Send', exact: true });
    await bo.getByLabel('Your message').fill('First');
    await send.click();
    await seenByAna('First').waitFor();
    for (const left of ['Slow mode: 3 s', 'Slow mode: 2 s', 'Slow mode: 1 s'])
      await bo.getByPlaceholder(left, { exact: true }).waitFor();
    t.equal(await send.isDisabled(), true);
    await bo.getByPlaceholder('Write a message', { exact: true }).waitFor();
    await bo.getByLabel('Your message').fill('Second');
    await send.click();
    await seenByAna('Second').waitFor();
  });
  t.same(errors, []);
});
