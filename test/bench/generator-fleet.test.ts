/** Coordinator and workers: admission, failures, and bottlenecks. */
// slow: measures the event loop of busy processes
import { createConnection } from 'node:net';
import t, { type Test } from 'tap';
import { healthOf } from '../../bench/generator/assemble.ts';
import { type Fleet, FleetError, type FleetOptions } from '../../bench/generator/contract.ts';
import { startFleet } from '../../bench/generator/fleet.ts';
import { runWorker } from '../../bench/generator/worker.ts';
import { WORKLOADS } from '../../bench/generator/workloads/index.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { listening } from '../../bench/peers/processes.ts';
import { programArguments } from '../support/root.ts';

async function fleetOf(t: Test, options: Partial<FleetOptions> = {}): Promise<Fleet> {
  const fleet = await startFleet({ processes: 1, seed: 1, ...options });
  t.teardown(() => fleet.close());
  return fleet;
}

t.test('a killed worker ends the run: all waiting calls reject with its name', async (t) => {
  const fleet = await fleetOf(t, { processes: 2 });
  await fleet.when('samples of both', () => fleet.samples.length >= 4, 5_000);
  const idle = healthOf(fleet.workers, fleet.samples.slice(2)).bottlenecks;
  t.notMatch(idle.join('\n'), /core|sends/, 'an idle worker is no bottleneck');
  const waiting = fleet.until(fleet.nowMs() + 60_000);
  const [, second] = fleet.workers;
  process.kill(second?.pid ?? 0, 'SIGKILL');
  await t.rejects(waiting, { message: new RegExp(`generator 1 \\(|process ${second?.pid} died`) });
  await t.rejects(fleet.load('viewers', {}), { message: /the run has no result/ });
});

t.test('a silent worker ends the run', async (t) => {
  const fleet = await fleetOf(t, { silenceMs: 2_500 });
  const pid = fleet.workers[0]?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  t.teardown(() => process.kill(pid, 'SIGCONT'));
  await t.rejects(fleet.until(fleet.nowMs() + 60_000), { message: /silent/ });
});

t.test('another machine joins with the key; a wrong key, one too many and other programs are refused', async (t) => {
  const port = await freePort();
  const notes: string[] = [];
  const listen = { host: '127.0.0.1', port };
  const onNote = (line: string) => notes.push(line);
  const gathering = startFleet({ processes: 1, remote: 1, seed: 1, key: 'the right key', listen, onNote });
  t.teardown(async () => (await gathering).close());
  const join = (key: string) => runWorker({ ...listen, key, workloads: WORKLOADS, hostId: 'elsewhere' });
  await listening(port);
  await t.rejects(join('a wrong key'), { message: /wrong key/ });
  await new Promise((resolve) => {
    const program = createConnection(listen, () => program.write('GET / HTTP/1.1\r\n\r\n'));
    program.on('error', () => {}).on('close', resolve);
    program.resume();
  });
  const remote = join('the right key');
  const fleet = await gathering;
  await fleet.when('samples', () => fleet.samples.length >= 2, 5_000);
  const [here, elsewhere] = [...fleet.workers].sort((a, b) => Number(b.local) - Number(a.local));
  t.match(here, { local: true, clockErrorMs: 0 }, 'one host, one clock');
  t.equal(elsewhere?.local, false);
  const errorMs = elsewhere?.clockErrorMs ?? 0;
  t.ok(errorMs > 0 && errorMs < 50, `${errorMs} ms`);
  const far = fleet.samples.find(({ worker }) => worker === elsewhere?.index);
  t.ok(far && Math.abs(far.toMs - fleet.nowMs()) < 5_000, 'its samples have times of the coordinator');
  await t.rejects(join('the right key'), { message: /joined already/ });
  t.match(notes.join('\n'), /wrong key/);
  await t.rejects(fleet.load('nonsense', {}), { message: /no workload "nonsense"/ }, 'the run ends');
  await fleet.close();
  await remote;
});

t.test('Ctrl-C rejects all waiting calls', async (t) => {
  const stop = new AbortController();
  const fleet = await fleetOf(t, { signal: stop.signal });
  const waiting = fleet.until(fleet.nowMs() + 60_000);
  stop.abort(new FleetError('stopped by a signal'));
  await t.rejects(waiting, { message: 'stopped by a signal' });
});

t.test('a busy worker is reported as the bottleneck', async (t) => {
  const busy = await fleetOf(t, { entry: programArguments('test/bench/burning-worker').at(-1) ?? '' });
  const load = await busy.load('burn', null);
  load.start(busy.nowMs());
  await busy.until(busy.secondAfter(2_100));
  await load.stop();
  const { lateSends, loopDelayP99Ms, bottlenecks } = healthOf(busy.workers, busy.samples.slice(1));
  t.ok(lateSends > 0 && loopDelayP99Ms > 30, `${lateSends} late, loop ${loopDelayP99Ms} ms`);
  for (const reason of [/event loop .* late/, /sends left .* ms after they were due/, /--processes/])
    t.match(bottlenecks.join('\n'), reason);
});
