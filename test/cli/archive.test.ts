/** A show through its whole life in one engine, and the proof of its archive without one. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { until } from '../support/until.ts';
import { run, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.test('after RETENTION a job archives an ended show, and verify --archive proves it (I9)', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const engine = await serve(t, ['--data-dir', dataDir, '--retention', '1s'], {
    API_KEYS: 'host:a-key-for-the-tests-only',
  });
  const { call, liveShow, token } = api(engine.ready.control, 'a-key-for-the-tests-only');
  await liveShow('friday');
  await call('PATCH', '/shows/friday', { brands: [{ id: 'b', name: 'B' }] });
  await call('PUT', '/shows/friday/products/p', { brand: 'b', title: 'P', skus: [{ sku: 'S' }] });
  const skus = [{ sku: 'S', product: 'p', price: 100, quantity: 5 }];
  await call('POST', '/shows/friday/sales', { id: 'drop', title: 'Drop', currency: 'EUR', skus, opensInMs: 0 });
  const ann = await token('friday', 'ann');
  const viewer = watch(t, engine.ready.gateway, 'friday', ann);
  await viewer.type('welcome');
  const held = await viewer.request({ t: 'reserve', key: 'k', sale: 'drop', lines: [{ sku: 'S', qty: 1 }] });
  const { reservation } = held.data as { reservation: { id: string } };
  await call('POST', `/shows/friday/reservations/${reservation.id}/confirm`, { orderRef: 'o', amount: 100 });
  await call('POST', '/shows/friday/end');
  t.match(await viewer.type('bye', 30_000), { code: 4203, reason: 'show_gone' }, 'viewers leave an archived show');
  t.equal((await viewer.closed).code, 4203);
  await until(async () => (await call('GET', '/shows/friday/archive')).status === 200, 'archived');
  const late = watch(t, engine.ready.gateway, 'friday', ann);
  t.match(await late.type('bye', 10_000), { code: 4203 });
  const { body } = await call('GET', '/shows/friday/archive');
  t.match(body, { show: 'friday', totals: { orders: 1, revenue: { EUR: 100 } } });

  const folder = join(dataDir, 'archive', 'friday');
  const [text, json] = await Promise.all([
    run(['verify', '--archive', folder]),
    run(['verify', '--archive', join(folder, 'manifest.json'), '--json']),
  ]);
  t.match(text, { code: 0, stdout: /1 order, [\s\S]*the books are right: 0 violations/ });
  t.match(JSON.parse(json.stdout), { sha256: body.sha256, violations: { length: 0 } });

  const moved = join(dataDir, 'friday');
  const elsewhere = ['--archive-dir', join(dataDir, 'none'), '--data-dir', dataDir];
  const [shown, exported, missing, unlisted] = await Promise.all([
    run(['verify', '--show', 'friday', '--data-dir', dataDir]),
    run(['export', '--show', 'friday', moved, '--data-dir', dataDir]),
    run(['verify', '--show', 'friday', ...elsewhere]),
    run(['export', '--show', 'friday', `${moved}.2`, ...elsewhere]),
  ]);
  const notHere =
    /not (?:in the file, and not )?here: \S+none\/friday does not exist\. Set ARCHIVE_DIR as for the engine/;
  t.match(missing, { code: 1, stderr: notHere });
  t.match(unlisted, { code: 0, stdout: notHere });
  t.match(shown, { code: 1, stderr: `show_archived: The show is archived. Use: stampede verify --archive ${folder}` });
  t.match(exported, {
    code: 0,
    stdout: `Its archive is not in the file: copy the folder ${folder} to the ARCHIVE_DIR`,
  });
  const away = join(dataDir, 'away');
  t.match(await run(['import', moved, '--data-dir', away]), {
    code: 0,
    stdout: `copy the folder friday of the old ARCHIVE_DIR to ${join(away, 'archive')}`,
  });
  t.match(await call('DELETE', '/users/ann'), { body: { archives: 1 } });
  t.match(await run(['verify', '--archive', folder]), {
    code: 0,
    stdout: /written again when users were erased: 20\d\d-.*Z\n.*0 violations/,
  });

  const [file = ''] = readdirSync(folder).filter((name) => name.startsWith('orders'));
  writeFileSync(join(folder, file), Buffer.from('H4sIAAAAAAAAAwMAAAAAAAAAAAA=', 'base64'));
  t.match(await run(['verify', '--archive', folder]), {
    code: 1,
    stdout: /violations:[\s\S]*orders\.jsonl\.gz: sha256/,
  });
  writeFileSync(join(folder, file), Buffer.from('H4sIAAAAAAAAAwMAAAAAAQAAAAA=', 'base64'));
  t.match(await run(['verify', '--archive', folder]), {
    code: 1,
    stderr: /orders\S+ cannot be read: .*\. The file is damaged: restore the folder from a backup\.\n$/,
  });
  t.match(await run(['verify', '--archive', dataDir]), {
    code: 1,
    stderr: /cannot be read: \S+manifest\.json does not exist\n$/,
  });
});
