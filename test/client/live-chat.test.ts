import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { msgpack } from '../../src/client/msgpack.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';

t.test('authors see messages above the display cap, and removed messages disappear (C-5.2, C-10.1)', async (t) => {
  const engine = await startLiveEngine(t);
  const [ana, bo] = [await engine.join('ana', {}), await engine.join('bo', { codec: msgpack })];
  let missed = 0;
  bo.on('missed', (count) => {
    missed += count;
  });
  await engine.store.updateShow(SHOW, { chatShownPerSecond: 1 }, 'test');
  await until(() => ana.model.show?.chatShownPerSecond === 1, 'the cap is set');
  const sent = await Promise.all(['one', 'two', 'three'].map((text) => ana.chat(text)));
  const shown = sent.flatMap((outcome) => (outcome.ok && !outcome.value.leftOut ? [outcome.value.chat] : []));
  t.ok(shown.length === 1 || shown.length === 2, 'a new second may have begun');
  await until(() => missed === 3 - shown.length, 'others get the number of missed messages');
  const received = bo.model.chat.map(({ id }) => id);
  t.same(received, shown);
  const own = ana.model.chat.map(({ text, name }) => `${name}: ${text}`);
  t.same(own.sort(), ['ana: one', 'ana: three', 'ana: two'], 'the author sees all');
  t.equal(bo.model.lastChat, 3, 'the position prevents a second report');
  t.ok((await engine.store.removeChat(SHOW, shown)).ok);
  await until(() => [ana, bo].every(({ model }) => !model.chat.some(({ id }) => shown.includes(id))), 'removed');
  t.equal((await engine.join('cy')).model.chat.length, 0);
  t.ok((await engine.store.mute(SHOW, 'bo', 60_000)).ok);
  let refused = await bo.chat('may I?');
  for (let tries = 0; refused.ok && tries < 5; tries += 1) refused = await sleep(200).then(() => bo.chat('may I?'));
  t.match(refused, { ok: false, error: { code: 'muted' } });
});
