/** The SDK in a room that shows less than is said, and whose host takes messages off. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { SHOW, startEngineUnderTest, until } from './live-house.ts';

t.test(
  'a loud room: its writer sees what the others do not, and what the host takes off leaves every screen',
  async (t) => {
    const house = await startEngineUnderTest(t);
    const clients = await Promise.all([
      house.join('ana', { variant: 'json' }),
      house.join('bo', { variant: 'msgpack' }),
    ]);
    const [ana, bo] = clients as [(typeof clients)[number], (typeof clients)[number]];
    let missed = 0;
    bo.on('missed', (count) => {
      missed += count;
    });
    await house.store.updateShow(SHOW, { chatShownPerSecond: 1 }, 'test');
    await until(() => ana.model.show?.chatShownPerSecond === 1, 'the cap is known');
    const said = await Promise.all(['one', 'two', 'three'].map((text) => ana.chat(text)));
    const shown = said.flatMap((outcome) => (outcome.ok && !outcome.value.leftOut ? [outcome.value.chat] : []));
    t.ok(shown.length === 1 || shown.length === 2, 'the clock may have turned in between');
    await until(() => missed === 3 - shown.length, 'the others are told how many');
    t.same(
      bo.model.chat.map(({ id }) => id),
      shown,
    );
    t.same(
      new Set(ana.model.chat.map(({ text, name }) => `${name}: ${text}`)),
      new Set(['ana: one', 'ana: two', 'ana: three']),
      'the writer sees all of theirs',
    );
    t.equal(bo.model.lastChat, 3, 'and nobody is told twice after a reconnect');
    t.ok((await house.store.removeChat(SHOW, shown)).ok);
    await until(() => clients.every(({ model }) => !model.chat.some(({ id }) => shown.includes(id))), 'taken off');
    t.equal((await house.join('cy')).model.chat.length, 0);
    t.ok((await house.store.mute(SHOW, 'bo', 60_000)).ok);
    let refused = await bo.chat('may I?');
    for (let tries = 0; refused.ok && tries < 5; tries += 1) {
      await sleep(200);
      refused = await bo.chat('may I?');
    }
    t.match(refused, { ok: false, error: { code: 'muted' } });
  },
);
