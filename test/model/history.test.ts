/**
 * Many clients on four connections: their history is checked, and the ledger has no violation.
 * STAMPEDE_LONG=1 runs fifty seeds.
 */
import t from 'tap';
import { checkHistory } from '../support/history-checker.ts';
import { FIRST_SEED as first } from '../support/seed.ts';
import { StoreFixture } from '../support/store-fixture.ts';
import { finalState, runStoreUsers } from '../support/store-users.ts';

const long = process.env.STAMPEDE_LONG === '1';
const fixture = await StoreFixture.open('history:');
const stores = [fixture.store];
while (stores.length < 4) stores.push(await fixture.connectAnother());
if (long) t.setTimeout(3_600_000);

for (let seed = first; seed < first + (long ? 50 : 4); seed++)
  fixture.test(`concurrent clients, seed ${seed}`, async (t) => {
    const show = await fixture.openShow({ units: { S: 12, M: 6 }, perBuyer: 3 });
    // The ledger must be right at every moment, so it is replayed while the clients run.
    const audits: string[] = [];
    let playing = true;
    const auditing = (async () => {
      for (let i = 0; playing; i++) {
        const verified = await (stores[i % stores.length] ?? fixture.store).verify(show);
        audits.push(...(verified.ok ? verified.value.violations : [verified.error.code]));
      }
    })();
    const load = { clients: 24, users: 16, actionsPerClient: 25, seed, time: fixture.time };
    const clients = await runStoreUsers({ show, sale: 'sale', skus: ['S', 'M'], stores, ...load });
    playing = false;
    await auditing;
    t.same(audits, [], 'every audit was clean');
    const violations = checkHistory(
      clients.history,
      { allocated: { sale: { S: 12, M: 6 } }, perBuyer: { sale: 3 } },
      await finalState(fixture.client, fixture.time.key(show, 'reservations')),
    );
    t.same(violations, []);
    t.equal(clients.undecided, 0, 'every request has a reply');
    t.comment([...clients.outcomes].map(([what, times]) => `${what}: ${times}`).join(', '));
    for (const expected of ['reserve ok', 'reserve sold_out', 'reserve limit_exceeded', 'confirm ok', 'release ok'])
      t.ok(clients.outcomes.has(expected), `the clients met "${expected}"`);
  });
