/**
 * What an engine counts while people use it, as a scraper reads it: every metric of the hot paths
 * moves.
 */
import { join } from 'node:path';
import t from 'tap';
import { WebSocket } from 'ws';
import { eventually, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';

t.test('hearts, scripts and flushes are counted', async (t) => {
  const engine = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')], SHARED_SECRETS);
  const call = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const headers = { authorization: 'Bearer an-api-key-for-tests', 'content-type': 'application/json' };
    const answer = await fetch(`${engine.ready.control}/v1${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    return (await answer.json()) as Record<string, unknown>;
  };
  await call('/shows', { id: 'counted', title: 'Counted' });
  await call('/shows/counted/start', {});
  const { token } = await call('/shows/counted/tokens', { user: 'ann', name: 'Ann', role: 'viewer' });
  const socket = new WebSocket(`${engine.ready.gateway}/v1/shows/counted`, ['stampede.v1.json', `token.${token}`]);
  t.teardown(() => socket.terminate());
  await new Promise((resolve) => socket.once('message', resolve));
  socket.send(JSON.stringify({ t: 'react', n: 7 }));
  socket.send(JSON.stringify({ t: 'chat', id: 1, text: 'hello' }));

  let text = '';
  const read = (metric: string): number =>
    Number(text.match(new RegExp(`^${metric.replaceAll(/[{}]/g, '\\$&')} (\\S+)$`, 'm'))?.[1] ?? 0);
  const counted = await eventually(async () => {
    text = (await (await fetch(`http://127.0.0.1:${engine.ready.gatewayPort}/metrics`)).text())
      .replaceAll(/node="[^"]*",?/g, '')
      .replaceAll(',}', '}')
      .replaceAll('{}', '');
    return (
      read('stampede_flush_seconds_count{lane="chat"}') > 0 && read('stampede_flush_seconds_count{lane="state"}') > 0
    );
  }, 8_000);
  t.ok(counted, 'flushes of both lanes', { text: text.slice(0, 500) });
  t.equal(read('stampede_hearts_total'), 7);
  for (const script of ['chat_append', 'counts', 'load', 'show_create']) {
    t.ok(read(`stampede_script_seconds_count{script="${script}"}`) >= 1, script);
    t.ok(read(`stampede_script_seconds_sum{script="${script}"}`) > 0, `${script} takes time`);
  }
});
