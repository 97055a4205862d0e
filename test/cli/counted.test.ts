import { join } from 'node:path';
import t from 'tap';
import { eventually, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.test('a running engine counts hearts, scripts and flushes', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const engine = await serve(t, ['--metrics-port', '0', '--data-dir', dataDir], SHARED_SECRETS);
  const host = api(engine.ready.control, 'an-api-key-for-tests');
  await host.liveShow('counted');
  const viewer = watch(t, engine.ready.gateway, 'counted', await host.token('counted', 'ann'));
  await viewer.type('welcome', 10_000);
  viewer.send({ t: 'react', n: 7 });
  viewer.send({ t: 'chat', id: 1, text: 'hello' });

  let text = '';
  const read = (metric: string): number =>
    Number(text.match(new RegExp(`^${metric.replaceAll(/[{}]/g, '\\$&')} (\\S+)$`, 'm'))?.[1] ?? 0);
  const hasFlushed = await eventually(async () => {
    text = (await (await fetch(`http://127.0.0.1:${engine.ready.metricsPort}/metrics`)).text())
      .replaceAll(/node="[^"]*",?/g, '')
      .replaceAll(',}', '}')
      .replaceAll('{}', '');
    return ['chat', 'state'].every((lane) => read(`stampede_flush_seconds_count{lane="${lane}"}`) > 0);
  }, 8_000);
  t.ok(hasFlushed, 'flushes of both lanes', { text: text.slice(0, 500) });
  t.equal(read('stampede_hearts_total'), 7);
  for (const script of ['chat_append', 'counts', 'load', 'show_create']) {
    t.ok(read(`stampede_script_seconds_count{script="${script}"}`) >= 1, script);
    t.ok(read(`stampede_script_seconds_sum{script="${script}"}`) > 0, `${script} takes time`);
  }
});
