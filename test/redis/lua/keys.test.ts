/**
 * Idempotency keys over time (promise I4): kept at least 24 hours, dropped at some point, harmless
 * when a script runs twice.
 */
import { LIMITS } from '../../../src/limits.ts';
import { HOST, outcome, Stage, unwrap } from '../../support/stage.ts';

const stage = await Stage.open('keys:');
const { store, travel, client } = stage;

stage.scene('a key is remembered over one turn of the generations and forgotten after two', async (t) => {
  const show = await stage.openShow({ perBuyer: 9, units: { S: 9 } });
  const held = await stage.hold(show, 'ann');
  const first = unwrap(await stage.confirm(show, held, { key: 'pay' }));
  const turn = async (key: string): Promise<void> => {
    await travel.rememberedSince(show, LIMITS.idempotencyTtlMs + 1);
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key, actor: HOST }));
  };
  await turn('t1');
  t.same(
    await stage.confirm(show, held, { key: 'pay' }),
    { ok: true, value: { ...first, replayed: true } },
    'one day later',
  );
  t.equal(outcome(await stage.confirm(show, held, { key: 'pay', orderRef: 'other' })), 'idempotency_conflict');
  t.equal(await client.exists(travel.key(show, 'idem-old')), 1);
  await turn('t2');
  t.equal(
    outcome(await stage.confirm(show, held, { key: 'pay' })),
    'reservation_confirmed',
    'two turns later the state answers',
  );
  t.equal((await stage.books(show)).sold, 1, 'and nothing happens twice');
  t.equal(outcome(await stage.reserve(show, 'ann')), 'replayed', 'a reservation is its own record and never forgotten');
});

stage.scene('keys do not turn before their day is over', async (t) => {
  const show = await stage.openShow({ perBuyer: 9 });
  const held = await stage.hold(show, 'ann');
  unwrap(await stage.confirm(show, held, { key: 'pay' }));
  for (let i = 0; i < 3; i++) {
    await travel.rememberedSince(show, LIMITS.idempotencyTtlMs - 60_000);
    unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: `t${i}`, actor: HOST }));
  }
  t.equal(await client.exists(travel.key(show, 'idem-old')), 0);
  t.equal(outcome(await stage.confirm(show, held, { key: 'pay' })), 'replayed');
});

stage.scene('two commands never share a record, whatever signs their keys and names hold', async (t) => {
  const show = await stage.openShow();
  const [ann, annx] = [await stage.hold(show, 'ann'), await stage.hold(show, 'ann|x')];
  t.equal(outcome(await stage.release(show, ann, { key: 'x|r' })), 'ok');
  t.equal(
    outcome(await stage.release(show, annx, { key: 'r' })),
    'ok',
    'user "ann", key "x|r" is not user "ann|x", key "r"',
  );
});

stage.scene('a server that forgets the scripts in mid-way is not noticed', async (t) => {
  const show = await stage.openShow();
  const held = await stage.hold(show, 'ann');
  await client.function('FLUSH');
  t.equal(outcome(await stage.confirm(show, held)), 'ok');
  await client.function('FLUSH');
  const answers = await Promise.all([
    stage.reserve(show, 'bob'),
    stage.reserve(show, 'cyd'),
    store.tick(show),
    store.listSales(show),
    store.load(show),
  ]);
  t.same(answers.map(outcome), ['ok', 'ok', 'ok', 'ok', 'ok']);
});

stage.scene('the same script sent twice, byte for byte, counts once', async (t) => {
  const show = await stage.openShow();
  const other = await stage.another();
  const twice = await Promise.all([stage.reserve(show, 'ann'), stage.reserve(show, 'ann', {}, other)]);
  t.same(twice.map(outcome).sort(), ['ok', 'replayed']);
  const held = unwrap(twice[0]).reservation;
  const paid = await Promise.all([stage.confirm(show, held), stage.confirm(show, held, {}, other)]);
  t.same(paid.map(outcome).sort(), ['ok', 'replayed']);
  const moved = await Promise.all(
    [store, other].map((at) =>
      at.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 5 }, { key: 'more', actor: HOST }),
    ),
  );
  t.equal(outcome(moved[0]), 'ok');
  t.same(moved[0], moved[1], 'a move answers the same to both');
  t.same(await stage.books(show), { allocated: 15, available: 14, held: 0, sold: 1, withdrawn: 0 });
});
