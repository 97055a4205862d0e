/**
 * A script never fails after its first write (I6): each call of a show is repeated by a user who
 * may not run one of the commands of its script, or not publish. Then it changes nothing.
 */
import t from 'tap';
import type { ArchiveSummary } from '../../../src/domain/archive.ts';
import type { RecordPage } from '../../../src/domain/transfer.ts';
import { LIMITS } from '../../../src/limits.ts';
import { createKeys } from '../../../src/redis/keys.ts';
import { commandsOf } from '../../../src/redis/lua-library.ts';
import { pack } from '../../../src/redis/records.ts';
import { newEpoch, ScriptRunner } from '../../../src/redis/script-runner.ts';
import { evalScripts, registerScripts, SCRIPT_NAMES, type ScriptName } from '../../../src/redis/scripts.ts';
import { HOST, items, MODES, pluck, StoreFixture, times, unitsMove, unwrap } from '../../support/store-fixture.ts';
import { until } from '../../support/until.ts';

t.setTimeout(300_000);
const fixture = await StoreFixture.open('acl:');
const { store, client, time, reserve, hold, move } = fixture;
const SHOW = 'show1';
const keys = createKeys('acl:').show(SHOW).all;
type Dump = Map<string, Buffer>;

async function dump(): Promise<Dump> {
  const dumped = await Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)] as const));
  return new Map(dumped.filter((entry): entry is readonly [string, Buffer] => entry[1] !== null));
}

async function restore(state: Dump): Promise<void> {
  for (const key of keys) {
    const bytes = state.get(key);
    await (bytes === undefined ? client.del(key) : client.restore(key, 0, bytes, 'REPLACE'));
  }
}

/** A call with the state in which it was made. */
type Call = { name: ScriptName; values: Buffer[]; before: Dump };
const calls: Call[] = [];
let isRecording = true;

/** Records each call of `work`. */
async function recorded(work: () => Promise<unknown>): Promise<void> {
  const run = ScriptRunner.prototype.run;
  ScriptRunner.prototype.run = async function (name, showId, args, ...more) {
    if (isRecording) calls.push({ name, values: [pack(args), ...more], before: await dump() });
    return run.call(this, name, showId, args, ...more);
  };
  await work();
  ScriptRunner.prototype.run = run;
}

/** What happens in a show. Some calls refuse, some find moments that are due. */
async function story(): Promise<void> {
  const ends = Buffer.from([3, 0, 0, 0, 6, 0, 0, 0]);
  const chat = { node: 'n', at: 1, count: 2, items: Buffer.from('\xa2hi\xa2ho', 'latin1') };
  const record = { id: SHOW, title: 'T', brands: [{ id: 'b', name: 'B' }] };
  await store.createShow(record, HOST);
  await store.putProduct(SHOW, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }, { sku: 'M' }] }, HOST);
  await store.announce(SHOW, 'soon', HOST, { key: 'a' });
  await fixture.newSale(SHOW, { units: { S: 2, M: 9 }, perBuyer: 4, opensInMs: 3_600_000, durationMs: 60_000 });
  await time.passMoment(SHOW, 'sale', 'opensAt');
  await store.tick(SHOW);
  const [ann, bob, cyd] = [await hold(SHOW, 'ann'), await hold(SHOW, 'bob'), await hold(SHOW, 'cyd', { sku: 'M' })];
  await reserve(SHOW, 'dan');
  const waits = ['dan', 'eve', 'fox'].map((user) => ({ user, key: 'w', sale: 'sale', sku: 'S', qty: 1 }));
  for (const wait of waits) unwrap(await store.waitlist(SHOW, { ...wait, op: 'join' }));
  unwrap(await store.waitlist(SHOW, { op: 'leave', user: 'fox', key: 'l', sale: 'sale', sku: 'S' }));
  await fixture.release(SHOW, ann);
  await time.passDeadline(SHOW, bob.id);
  await reserve(SHOW, 'gus', { lines: items({ S: 1, M: 1 }) });
  await store.extendHold(SHOW, { reservation: cyd.id, byMs: 1_000 }, { key: 'x', actor: HOST });
  await time.ageKeys(SHOW, LIMITS.idempotencyTtlMs + 1);
  await fixture.confirm(SHOW, cyd);
  await store.changeOrder(SHOW, cyd.id, { note: 'gift' });
  await fixture.refund(SHOW, await fixture.order(SHOW, 'ref', { sku: 'M' }));
  await time.ageKeys(SHOW, LIMITS.idempotencyTtlMs + 1);
  await store.announce(SHOW, 'now', HOST, { key: 'b' });
  await move(SHOW, unitsMove(60));
  await move(SHOW, unitsMove(-1));
  await fixture.newSale(SHOW, { id: 'draft', durationMs: 60_000 });
  const edit = { removeSkus: ['S'], addSkus: [{ sku: 'M', product: 'p', price: 1, quantity: 1 }] };
  unwrap(await store.editSale(SHOW, 'draft', edit, { key: 'edit', actor: HOST }));
  unwrap(await store.deleteSale(SHOW, 'draft', { key: 'delete', actor: HOST }));
  await move(SHOW, { op: 'pause' });
  await move(SHOW, { op: 'resume' });
  await store.appendChat(SHOW, chat, ['u', 'v']);
  await store.appendChat(SHOW, { ...chat, cap: { perSecond: 1, marked: [], ends } }, ['u', 'v']);
  await store.removeChat(SHOW, [1]);
  await store.mute(SHOW, 'u', 60_000);
  await store.unmute(SHOW, 'u');
  await client.hset(time.key(SHOW, 'nodes'), 'gone', pack([3, 1]));
  await store.reportCounts(SHOW, 'n', 2, 1, ['u']);
  await store.reportCounts(SHOW, 'n', 0, 0);
  await store.reportRefusals(SHOW, 'n', 1, [{ sale: 'sale', code: 'sold_out', count: 1, offset: 1, rev: 1 }]);
  await store.load(SHOW);
  await store.holdingsOf(SHOW, ['ann', 'dan', 'nil']);
  await client.hset(time.key(SHOW, 'stock'), 'sale/M', pack([9, 1, 1, 1, 0, 1000, 0, 'p']));
  await store.reconcile(SHOW, HOST);
  await waitForMany();
  await time.changeServer(SHOW);
  await store.tick(SHOW);
  await until(async () => !(await time.isRecovering(SHOW)), 'recovered');
  await time.passMoment(SHOW, 'sale', 'closesAt');
  await reserve(SHOW, 'ida');
  await fixture.newSale(SHOW, { id: 'other', units: { S: 2 }, perBuyer: 2 });
  await hold(SHOW, 'ann', { sale: 'other', key: 'o' });
  await erase();
  await store.moveSale(SHOW, 'other', { op: 'cancel' }, { key: 'c', actor: HOST });
  await transfer();
  await archive();
}

/** Each step that erases a user: an order, a wait, a mute and a message. */
async function erase(): Promise<void> {
  unwrap(await fixture.confirm(SHOW, await hold(SHOW, 'era', { sale: 'other', key: 'e' })));
  unwrap(await store.waitlist(SHOW, { op: 'join', user: 'era', key: 'w', sale: 'other', sku: 'S', qty: 1 }));
  await store.mute(SHOW, 'era', 60_000);
  await store.appendChat(SHOW, { node: 'n', at: 1, count: 1, items: pack([0, 0, 'Era', 'hi']) }, ['era']);
  await client.hset(time.key(SHOW, 'show'), 'line:other/S', 'other/S/0000000000000001/era');
  const erased = unwrap(await store.eraseInShow(SHOW, { user: 'era', pseudonym: 'erased' }));
  t.match(erased, { step: 'done', counts: { messages: 1, reservations: 1, waits: 1, mutes: 1, commands: 2 } });
}

/** Each step of an export, and of an import of what was read into the place of the show. */
async function transfer(): Promise<void> {
  unwrap(await store.freezeExport(SHOW, 'token'));
  unwrap(await store.renewExport(SHOW, 'token'));
  const pages: RecordPage[] = [];
  for (const key of store.exportKeys('planned'))
    pages.push({ key, records: unwrap(await store.readRecords(SHOW, key, null)).rows });
  unwrap(await store.thawExport(SHOW, 'token'));
  const state = await dump();
  await restore(new Map());
  unwrap(await store.abortImport(SHOW, unwrap(await store.beginImport(SHOW))));
  const token = unwrap(await store.beginImport(SHOW));
  // Other keys are written with commands that other scripts need too.
  for (const page of pages) {
    isRecording = page.key === 'uniques';
    unwrap(await store.putRecords(SHOW, token, page));
  }
  isRecording = true;
  const examined = { show: SHOW, state: 'planned', createdAt: 1, isLive: true, entries: 1, violations: [] } as const;
  const [header] = pages;
  unwrap(await store.commitImport({ ...examined, violations: [] }, token, header?.records ?? []));
  await restore(state);
}

/** Each step at the end of a show. */
async function archive(): Promise<void> {
  await store.endShow(SHOW, HOST);
  await time.passAllDeadlines(SHOW);
  const freeze = async (): Promise<string> => {
    const frozen = unwrap(await store.freezeShow(SHOW, 'job'));
    return frozen.step === 'frozen' ? frozen.show.token : '';
  };
  unwrap(await store.thawShow(SHOW, await freeze()));
  unwrap(await store.finishArchive(SHOW, await freeze(), { show: SHOW } as ArchiveSummary, 60_000));
  unwrap(await store.purgeShow(SHOW));
  unwrap(await store.condemnShow(SHOW));
  unwrap(await store.deleteShow(SHOW));
}

/** More wait than one call serves. */
async function waitForMany(): Promise<void> {
  const free = await fixture.books(SHOW);
  await fixture.hold(SHOW, 'big', { qty: 1 });
  for (const user of times(free.available, (i) => `h${i}`)) await reserve(SHOW, user);
  isRecording = false;
  for (const user of times(LIMITS.waitlistSliceMax + 2, (i) => `w${i}`))
    await store.waitlist(SHOW, { op: 'join', user, key: 'w', sale: 'sale', sku: 'S', qty: 1 });
  isRecording = true;
  await move(SHOW, unitsMove(LIMITS.waitlistSliceMax + 1));
  await store.tick(SHOW);
}

t.test('I6: a script without the permission for one of its commands changes nothing', async (t) => {
  await recorded(story);
  const [known] = calls.filter(({ name }) => name === 'reserve');
  await restore(known?.before ?? new Map());
  // As release 0.1.0 left it.
  await client.hset(time.key(SHOW, 'show'), 'state', 'ended');
  await client.hdel(time.key(SHOW, 'show'), 'format', 'ended');
  calls.push({ name: 'migrate', values: [pack([])], before: await dump() });
  await time.changeServer(SHOW);
  calls.push({ name: 'fence', values: [pack([newEpoch()])], before: await dump() });
  const tried = SCRIPT_NAMES.filter((name) => name !== 'check').sort();
  t.same([...new Set(pluck(calls, 'name'))].sort(), tried, 'the story calls every script on a show');

  await client.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~acl:*', '&acl:*', '+@all');
  const app = client.duplicate({ username: 'app', password: 'secret' });
  t.teardown(() => app.disconnect());
  const scripts = registerScripts(
    () => app,
    () => MODES,
  );
  const refusals = new Map<ScriptName, Set<string>>();
  let found = 0;
  for (const { name, values, before } of calls) {
    await restore(before);
    const state = await fixture.recordsOf(SHOW);
    const commands = commandsOf([evalScripts(MODES.publish)[name].source]).map((word) => [
      word,
      `-${word}`,
      `+${word}`,
    ]);
    for (const [command = '', deny = '', allow = ''] of [...commands, ['the channel', 'resetchannels', '&acl:*']]) {
      await client.call('ACL', 'SETUSER', 'app', deny);
      const refusal = await scripts.run(name, keys, store.runId() ?? '', ...values).then(
        () => null,
        (error: Error) => error.message,
      );
      await client.call('ACL', 'SETUSER', 'app', allow);
      if (refusal === null) {
        await restore(before);
        continue;
      }
      found++;
      t.match(refusal, /^NOPERM|can't run this command|ACL failure/, `${name} without ${command}`);
      t.same(await fixture.recordsOf(SHOW), state, `${name} without ${command}: ${refusal}`);
      refusals.set(name, (refusals.get(name) ?? new Set()).add(command));
    }
  }
  const never = commandsOf(Object.values(evalScripts(MODES.publish)).map(({ source }) => source)).filter(
    (command) => ![...refusals.values()].some((commands) => commands.has(command)),
  );
  t.same(never, [], 'each command was needed by a call');
  t.ok(refusals.get('reserve')?.has('the channel'));
  t.comment(`${calls.length} calls, ${found} refusals`);
});
