// heavy: starts an engine and generator processes twice
/** Small runs of the scenarios about a killed node and a hostile buyer. */
import t from 'tap';
import { bench, unlessBuilt } from './run-bench.ts';

t.setTimeout(120_000);
// Both wait most of the time.
t.jobs = 2;

t.test('viewers of a killed node resume on another one (I7, I8)', { skip: unlessBuilt }, async (t) => {
  const { figure } = await bench(t, 'storm', '--to other-node --viewers 40 --join-rate 100');
  t.equal(figure('from memory'), 100);
  t.ok(figure('Redis commands') < 300, `${figure('Redis commands')} commands`);
});

t.test('a hostile buyer leaves little in Redis (I9)', { skip: unlessBuilt }, async (t) => {
  const flags = '--viewers 20 --rate 10 --writers 10 --seconds 2 --rounds 1 --warm-up 1 --sockets 60';
  const { figure } = await bench(t, 'hostile', flags);
  t.ok(figure('attack: messages') > 0 && figure('attack: upgrades') > 0);
  t.ok(figure('left in Redis') < 1_024, `${figure('left in Redis')} KiB per minute`);
});
