/** Exports that were changed and got a new hash: what the engine does not write is refused. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { exportShow, importShow } from '../../src/archive/index.ts';
import { pack, unpackAll } from '../../src/redis/records.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { erasuresOn } from '../support/erasures.ts';
import { type ExportedRows, type Json, type Row, readExportFile, writeExportFile } from '../support/export-file.ts';
import { ROOT } from '../support/root.ts';
import { everythingOf } from '../support/show-copy.ts';
import { byHost, HOST, StoreFixture, unwrap } from '../support/store-fixture.ts';

const [old, next] = [await StoreFixture.open('old:'), await StoreFixture.open('next:')];
const { store, client, time, openShow, hold, confirm, release, reserve } = old;
const { say } = erasuresOn(old);
const folder = temporaryFolder(t);
// A busy machine: many small files are written and read.
t.setTimeout(120_000);
const path = join(folder, 'forged');

const exported = async (show: string, name = show): Promise<ExportedRows> => {
  unwrap(await exportShow({ store, path: join(folder, name) }, show, '0.0.0-test'));
  return readExportFile(join(folder, name));
};
const imported = () => importShow({ store: next.store, path });

/** Returns the message of the refusal. */
async function refusalOf(t: Test, name: string, file: ExportedRows): Promise<string> {
  writeExportFile(path, file);
  const result = await imported();
  if (!result.ok && result.error.code === 'invalid_request' && !result.error.message.includes('\n'))
    return result.error.message;
  t.fail(name, { result });
  return '';
}

/** Returns why the records of a file would be refused, without a file and a server; '' if not. */
function problemOf({ rows }: ExportedRows): string {
  const examiner = next.store.examineRecords();
  try {
    for (const [key, ...records] of rows)
      if (examiner.add({ key, records }).records.length < records.length) return `a record of ${key} is there twice`;
    // The manifest of the honest file lists none.
    return examiner.finish().violations.join();
  } catch (error) {
    return (error as Error).message;
  }
}

const keysThere = (): Promise<number> => next.client.dbsize();

/** Plays a show that has a record of each kind. */
async function playedShow(): Promise<string> {
  const show = await openShow({ perBuyer: 3, units: { S: 4, M: 1 } });
  await old.skipCommitCheck(show);
  unwrap(await confirm(show, await hold(show, 'ann', { qty: 2 })));
  unwrap(await release(show, await hold(show, 'ann', { key: 'again' })));
  await hold(show, 'bob', { sku: 'M' });
  await reserve(show, 'dan', { sku: 'M' });
  const wait = { op: 'join', user: 'dan', key: 'wait', sale: 'sale', sku: 'M', qty: 1 } as const;
  unwrap(await store.waitlist(show, wait));
  await say(show, ['ann', 'bob']);
  await say(show, ['ann', 'bob', 'dan', 'eve', 'fay']);
  unwrap(await store.removeChat(show, [1]));
  unwrap(await store.mute(show, 'bob', 600_000));
  unwrap(await store.announce(show, 'soon', HOST, byHost('say')));
  unwrap(await store.pinProduct(show, 'p', HOST));
  const addresses = { videoUrl: 'https://a.example/v.mp4', posterUrl: 'https://a.example/p.png' };
  const checkoutUrl = 'https://shop.example/pay?r={reservation}';
  unwrap(await store.updateShow(show, { ...addresses, checkoutUrl }, HOST));
  unwrap(await store.reportCounts(show, 'n', 2, 3, ['ann', 'bob']));
  unwrap(await store.eraseInShow(show, { user: 'fay', pseudonym: 'erased-1' }));
  return show;
}

const show = await playedShow();
const honest = await exported(show);

/** Returns a copy with other records of one key. */
const withRecords = (key: string, change: (records: string[][]) => string[][], of = honest): ExportedRows => ({
  ...of,
  rows: of.rows.map(([name, ...records]): Row => (name === key ? [name, ...change(records)] : [name, ...records])),
});
const withRow = (...row: Row): ExportedRows => ({ ...honest, rows: [...honest.rows, row] });
const recordsOf = (key: string, of = honest): string[][] =>
  of.rows.filter(([name]) => name === key).flatMap(([, ...records]) => records);
const fieldOf = (field: string): string => recordsOf('show').find(([name]) => name === field)?.[1] ?? '';
const bytesIn = (text = ''): Buffer => Buffer.from(text, 'latin1');
const latin = (bytes: Buffer): string => bytes.toString('latin1');

/** Returns a copy in which a field of the header is this one; undefined removes it. */
const withField = (field: string, value: string | undefined, of = honest): ExportedRows =>
  withRecords(
    'show',
    (records) => [...records.filter(([name]) => name !== field), ...(value === undefined ? [] : [[field, value]])],
    of,
  );

t.test('a field of the header that no export writes is refused, with its line', async (t) => {
  const before = await keysThere();
  const own = 'run run_before epoch origin viewers frozen freezer owner lease eraser erasing import import_at';
  const other = 'archive purge ended state2 __proto__ constructor toString line:x line:sale/M';
  for (const field of `${own} ${other}`.split(' '))
    t.match(await refusalOf(t, field, withField(field, '99999999999999')), /line 2: show, |: show, /, field);
  t.equal(await keysThere(), before);
});

t.test('a field of the header with another value is refused', async (t) => {
  const before = await keysThere();
  const texts = new Set(['token', 'body', 'state', 'view', 'chat_window', 'refusal_samples']);
  const junk = [
    '',
    'x',
    '5abc',
    ' 5',
    '-1',
    '1.5',
    '0x10',
    '1e3',
    '01',
    '99999999999999999',
    'NaN',
    '\xc1',
    'Infinity',
  ];
  for (const [field = ''] of recordsOf('show')) {
    for (const value of texts.has(field) ? ['', '\xc1', 'live', 'x y', '"'] : junk)
      if (!problemOf(withField(field, value)).includes(`show, ${field}`)) t.fail(`${field} ${value}`);
    t.match(await refusalOf(t, field, withField(field, '\xc1')), new RegExp(`line 2: show, ${field}`));
  }
  for (const field of ['state', 'view', 'created', 'body', 'offset', 'rev', 'ver', 'live_sales'])
    t.match(await refusalOf(t, field, withField(field, undefined)), new RegExp(`show, ${field} is missing`));
  const soon = String(Date.now() + 30 * 3_600_000);
  for (const field of ['created', 'idem_since'])
    t.match(await refusalOf(t, field, withField(field, soon)), new RegExp(`show, ${field} is not a whole number`));
  for (const [field, value, says] of [
    ['state', 'archived', /show, archive is missing|show, ended is missing/],
    ['state', 'ended', /show, ended is missing/],
    ['format', '2', /a newer release has written/],
    ['live_sales', '0', /live_sales is 0, and 1 sale is not over$/],
    ['live_sales', '7', /live_sales is 7, and 1 sale is not over$/],
    ['chat_last', '1', /chat_last is 1, and there is message 7/],
    ['offset', '3', /the last event is \d+, by the show 3/],
  ] as const) {
    const file = withField(field, value);
    if (field === 'state') file.head = { ...file.head, state: value };
    t.match(await refusalOf(t, field, file), says);
  }
  t.equal(await keysThere(), before);
});

t.test('keys, names and scores that the engine does not write are refused', async (t) => {
  const before = await keysThere();
  const long = 'x'.repeat(9 * 1024 * 1024);
  const high = '18446744073709551615-18446744073709551615';
  const later = `${Date.now() + 30 * 3_600_000}-0`;
  const member = 'sale/M/0000000000000001/';
  const append = (key: string, record: string[]) => withRecords(key, (records) => [...records, record]);
  const entry = (key: string): string[] => recordsOf(key).at(-1) ?? [];
  const renamed = (key: string, name: string): ExportedRows =>
    withRecords(key, (records) => records.with(0, [name, ...(records[0] ?? []).slice(1)]));
  const files: Record<string, [ExportedRows, RegExp]> = {
    ...Object.fromEntries(
      ['__proto__', 'constructor', 'toString', 'nodes', 'channel', 'rewrite', 'hasOwnProperty', ''].map((key) => [
        `key ${key}`,
        [withRow(key, ['a', 'b']), /is no key of a show/],
      ]),
    ),
    ...Object.fromEntries(
      ['ledger', 'chat'].flatMap((key) => [
        [`${key}: highest id`, [append(key, [high, ...entry(key).slice(1)]), /its id is not that of an entry/]],
        [`${key}: later id`, [append(key, [later, ...entry(key).slice(1)]), /its time has not come/]],
        [`${key}: text as id`, [append(key, ['abc', ...entry(key).slice(1)]), /its id is not that of an entry/]],
        [`${key}: another field`, [append(key, [later, 'x', ...entry(key).slice(2)]), /has another shape/]],
      ]),
    ),
    'log: id': [append('log', ['9-1', 'e', '']), /comes after|id is not that of an event/],
    'log: id 0': [withRecords('log', ([, ...more]) => [['0-0', 'e', 'x'], ...more]), /not that of an event/],
    ...Object.fromEntries(
      ['nan', 'inf', '-inf', '1.5', '-1', '1e3', '99999999999999999', ''].flatMap((score) =>
        ['due', 'mutes', 'removed', 'waitlist'].map((key) => [
          `${key}: score ${score}`,
          [withRow(key, [score, 'o:other']), new RegExp(`${key} .*: its score|${key} .* is not`)],
        ]),
      ),
    ),
    ...Object.fromEntries(
      ['junk', '', 'hold/x', 'x:sale', 'o:', 'o:a b', 'w:sale', '\xff'].map((due) => [
        `due: ${due}`,
        [withRow('due', ['1', due]), /due .* is nothing that becomes due|is no text/],
      ]),
    ),
    'waitlist: junk': [withRow('waitlist', ['0', 'junk']), /waitlist junk is not an entry/],
    'waitlist: score': [withRow('waitlist', ['1', member]), /its score is not/],
    'waitlist: long': [withRow('waitlist', ['0', member + long]), /a record of waitlist .* is too long/],
    'waitlist: long user': [withRow('waitlist', ['0', `${member}${'x'.repeat(600)}`]), /is not an entry/],
    'mutes: long user': [withRow('mutes', ['1', 'x'.repeat(200)]), /is not a text of 1 to 128/],
    'removed: member': [withRow('removed', ['1', '2']), /removed 2 has the score 1/],
    'removed: later': [withRow('removed', ['99', '99']), /there is message 99/],
    'buyers: long user': [withRow('buyers', ['x'.repeat(200), latin(pack({}))]), /is not a text of 1 to 128/],
    'buyers: no text': [withRow('buyers', ['\xff', latin(pack({}))]), /is no text/],
    'idem: name': [withRow('idem', ['x', latin(pack(['b', 'r']))]), /idem x is not the key/],
    'uniques: junk': [withRow('uniques', ['not a hll']), /there twice|not a HyperLogLog/],
    'uniques: damaged': [
      withRecords('uniques', ([[bytes = ''] = []]) => [[`${bytes.slice(0, -1)}\xff`]]),
      /uniques is a damaged HyperLogLog/,
    ],
    'uniques: of another kind': [withRecords('uniques', () => [['HYLL\x02'.padEnd(40, '\0')]]), /damaged/],
    'reservations: id': [renamed('reservations', 'x'), /its id is not the id of a reservation/],
    'products: id': [renamed('products', 'x'), /product x is the record of p/],
    'sales: id': [renamed('sales', 'x'), /sale x is the record of sale/],
    'stock: name': [renamed('stock', 'sale/ x'), /stock "sale\/ x": its SKU is not a SKU/],
    'stock: SKU': [renamed('stock', 'sale/ä'), /its SKU is not a SKU|is no text/],
    ...Object.fromEntries(
      ['videoUrl', 'posterUrl', 'checkoutUrl'].map((field) => {
        const view = { ...(unpackAll(bytesIn(fieldOf('view')))[0] as object), [field]: 'javascript:alert(1)' };
        return [`view: ${field}`, [withField('view', latin(pack(view))), new RegExp(`${field} is not a web address`)]];
      }),
    ),
    'products: image': [
      withRow('products', ['q', latin(pack({ ...product, id: 'q', imageUrl: 'javascript:alert(1)' }))]),
      /product q\.imageUrl is not a web address/,
    ],
    'too many products': [
      withRow('products', ...[...Array(1_001).keys()].map((i) => [`p${i}`, latin(productOf(`p${i}`))])),
      /there are more than 1000 records of products/,
    ],
  };
  const kinds = new Set<string>();
  for (const [name, [file, says]] of Object.entries(files)) {
    t.match(problemOf(file), says, name);
    const [kind = ''] = name.split(':');
    if (kinds.has(kind)) continue;
    kinds.add(kind);
    t.match(await refusalOf(t, name, file), says, `import: ${name}`);
  }
  for (const [key, first] of honest.rows) {
    const again = withRow(key, first ?? []);
    t.match(await refusalOf(t, key, again), /there twice|comes after/, `${key} twice`);
  }
  t.equal(await keysThere(), before);
});

const product = { brand: 'b', title: 'T', skus: [{ sku: 'S' }] };
const productOf = (id: string): Buffer => pack({ id, ...product });

/** The values of a record that are MessagePack, and where they are. */
const PACKED: Readonly<Record<string, readonly number[]>> = {
  ...{ products: [1], sales: [1], stock: [1], reservations: [1], buyers: [1], idem: [1] },
  ...{ log: [2], ledger: [2], chat: [2, 4, 6] },
};
/** Fields of the header that are MessagePack. */
const PACKED_FIELDS = ['view', 'chat_window', 'refusal_samples'];

/** Calls `visit` with each value within a value, and a function that returns it replaced. */
function eachValue(value: Json, visit: (at: string, value: Json, replaced: (by: Json) => Json) => void, at = ''): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, each] of Object.entries(value)) {
    const replaced = (by: Json): Json =>
      Array.isArray(value) ? value.with(Number(name), by) : { ...value, [name]: by };
    const path = `${at}.${Array.isArray(value) && value.length > 14 ? '*' : name}`;
    visit(path, each, replaced);
    eachValue(each, (below, one, inner) => visit(below, one, (by) => replaced(inner(by))), path);
  }
}

/** Yields records of this key with one value in them of another type. */
function* changedRecords(key: string, record: string[], position: number): Generator<[at: string, record: string[]]> {
  const values = unpackAll(bytesIn(record[position]));
  const changed: Array<[string, Json]> = [];
  eachValue(values, (at, value, replaced) => {
    // What an entry of the ledger has besides is not bound to a shape.
    if (key === 'ledger' && /^\.\d+\.8\./.test(at)) return;
    changed.push([`${key}${at}`, replaced(typeof value === 'number' ? 'x y' : -1.5)]);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isObject && key !== 'ledger' && key !== 'buyers')
      changed.push([`${key}${at}.zzz`, replaced({ ...value, zzz: 1 })]);
  });
  for (const [at, all] of changed) yield [at, record.with(position, latin(Buffer.concat((all as Json[]).map(pack))))];
}

t.test('each value in each record, replaced by one of another type, is refused', async (t) => {
  const before = await keysThere();
  const seen = new Set<string>();
  const accepted: string[] = [];
  for (const [key, positions] of [...Object.entries(PACKED), ...PACKED_FIELDS.map((field) => [field, [1]] as const)]) {
    const isField = PACKED_FIELDS.includes(key);
    const of = isField ? 'show' : key;
    const records = recordsOf(of);
    t.ok(records.length > 0, `there are ${of}`);
    for (const [i, record] of records.entries()) {
      if (isField && record[0] !== key) continue;
      for (const position of positions)
        for (const [at, changed] of changedRecords(key, record, position)) {
          // The same place in another record proves nothing more.
          const kind =
            key === 'log' ? `${at} ${(unpackAll(bytesIn(record[2]))[2] as string) ?? ''}` : `${at} ${position}`;
          if (seen.has(kind)) continue;
          seen.add(kind);
          if (problemOf(withRecords(of, (all) => all.with(i, changed))) === '') accepted.push(at);
        }
    }
    for (const bytes of [
      '',
      '\xc1',
      'junk',
      latin(pack(7)),
      latin(pack('x')),
      latin(pack(null)),
      latin(pack(new Date())),
    ]) {
      const [record = []] = records.filter(([name]) => !isField || name === key);
      for (const position of positions) {
        const forged = withRecords(of, (all) => all.with(all.indexOf(record), record.with(position, bytes)));
        if (problemOf(forged) === '') accepted.push(`${key} ${JSON.stringify(bytes)}`);
      }
    }
  }
  t.same(accepted, []);
  t.ok(seen.size > 200, `${seen.size} kinds of values`);
  t.equal(await keysThere(), before);
});

t.test('head and manifest are checked, and the records against each other', async (t) => {
  const before = await keysThere();
  for (const head of [
    { format: 0 },
    { format: 1.5 },
    { format: '1' },
    { show: '../x' },
    { show: 7 },
    { show: '__proto__' },
    { state: 'live' },
    { state: 'archiving' },
    { exportedAt: 'now' },
    { engine: 'x'.repeat(1_000) },
  ])
    t.match(
      await refusalOf(t, JSON.stringify(head), { ...honest, head: { ...honest.head, ...head } }),
      /its head|it has/,
    );
  const without = (key: string): ExportedRows => ({ ...honest, rows: honest.rows.filter(([name]) => name !== key) });
  for (const [key, says] of [
    ['show', /record of the show is missing/],
    ['ledger', /books are wrong/],
    ['reservations', /is missing, by the ledger/],
    ['log', /the last event is/],
  ] as const)
    t.match(await refusalOf(t, `no ${key}`, without(key)), says);
  const another = { ...honest, head: { ...honest.head, show: 'x' } };
  t.match(await refusalOf(t, 'another show', another), /its head names another show/);
  const manifest = { ...honest.manifest, violations: [7] };
  t.match(await refusalOf(t, 'violations', { ...honest, manifest }), /its manifest is incomplete/);
  t.equal(await keysThere(), before);
});

t.test('the honest file is imported, and so are an ended and an archived show and one of release 0.1.0', async (t) => {
  writeExportFile(path, honest);
  unwrap(await imported());
  t.same(await everythingOf(next.store, show, ['ann', 'dan']), await everythingOf(store, show, ['ann', 'dan']));
  t.same((await exported(show, 'again')).rows.length, honest.rows.length);

  unwrap(await store.endShow(show, HOST));
  for (const name of await client.zrange(time.key(show, 'due'), 0, '-1'))
    await time.passDeadlineUnderLoad(show, name).catch(() => {});
  for (let n = 0; n < 3; n++) unwrap(await store.tick(show));
  const ended = await exported(show, 'ended');
  for (const value of [undefined, 'never', '', String(Date.now() + 1e10)])
    t.match(await refusalOf(t, `ended ${value}`, withField('ended', value, ended)), /show, ended/);
  const done = unwrap(await archivesOf(store, temporaryFolder(t)).archive(show));
  t.equal(done.state, 'archived');
  const archived = await exported(show, 'archived');
  for (const [field = ''] of recordsOf('show', archived)) {
    if (field === 'format') continue;
    t.match(await refusalOf(t, field, withField(field, '\xc1', archived)), new RegExp(`show, ${field}`), field);
  }
  t.match(await refusalOf(t, 'rev', withField('rev', '1', archived)), /rev is no field of an archived show/);
  t.match(
    await refusalOf(t, 'due', { ...archived, rows: [...archived.rows, ['due', ['1', 'c:sale']]] }),
    /other records/,
  );
  unwrap(await next.store.condemnShow(show));
  unwrap(await next.store.deleteShow(show));
  writeExportFile(path, archived);
  unwrap(await imported());
  t.match(unwrap(await next.store.listShows()).shows[0], { id: show, state: 'archived' });

  const { keys } = JSON.parse(readFileSync(join(ROOT, 'test/fixtures/shows-0.1.0.json'), 'utf8'));
  for (const [key, bytes] of Object.entries(keys as Record<string, string>))
    await client.restore(key, 0, Buffer.from(bytes, 'base64'), 'REPLACE');
  await exported('ended', 'ended-0.1.0');
  unwrap(await importShow({ store: next.store, path: join(folder, 'ended-0.1.0') }));
  t.same(unwrap(await next.store.verify('ended')).violations, []);
});
