/** A damaged ledger is reported, the sale is not trusted, and the process survives. */
import { setTimeout as sleep } from 'node:timers/promises';
import { pack } from '../../src/redis/records.ts';
import { outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('damage:');
const { store, client, time, hold, move } = fixture;
const died: unknown[] = [];
process.on('unhandledRejection', (reason) => died.push(reason));

const damages: Record<string, [field: string, value: string | Buffer]> = {
  'an entry without its field': ['x', 'y'],
  'an empty entry': ['e', ''],
  'bytes that are no MessagePack': ['e', Buffer.from([0xc1, 0xff])],
  'a cut entry': ['e', Buffer.from([0x99, 0xa4])],
  'a number': ['e', pack(5)],
  'a map': ['e', pack({ kind: 'hold' })],
  'an entry of null values': ['e', pack(['hold', ...Array(7).fill(null)])],
  'items that are no items': ['e', pack(['hold', 'sale', 'r1', 'ann', 'user', 'k', '', 'S'])],
  'an unknown kind': ['e', pack(['gift', 'sale', 'r1', 'ann', 'user', 'k', '', []])],
};

for (const [name, entry] of Object.entries(damages)) {
  fixture.saleTest(`a damaged ledger: ${name}`, {}, async (t, show) => {
    await hold(show, 'ann');
    await client.xadd(time.key(show, 'ledger'), '*', ...entry);
    const verified = unwrap(await store.verify(show));
    if (name !== 'an empty entry') t.ok(verified.violations.length > 0, 'verify returns what it found');
    await time.changeServer(show);
    t.equal(outcome(await store.tick(show)), 'ok');
    await sleep(60);
    t.same(died, [], 'the process survives');
    died.length = 0;
    t.equal(unwrap(await store.getSale(show, 'sale')).skus[0]?.held, 1, 'the books are unchanged');
    t.match(outcome(await move(show, { op: 'end' })), 'ok', 'the host can still end it');
    await fixture.skipCommitCheck(show);
  });
}
