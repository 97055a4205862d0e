/** Which promises of src/README.md hold on a server with these checks and this durability. */
import type { Check, CheckState, PromiseState } from '../../domain/checkup.ts';
import type { Durability } from '../../domain/health.ts';

const NAMES = {
  I1: 'conservation',
  I2: 'limits',
  I3: 'one end',
  I4: 'idempotency',
  I5: 'one clock',
  I6: 'one commit',
  I7: 'no silent gaps',
  I8: 'crash-proof',
} as const;
type Id = keyof typeof NAMES;

const LOSS: Readonly<Record<Durability, readonly [PromiseState['state'], string]>> = {
  always: ['holds', 'If the host of Redis loses power, nothing that was acknowledged is lost.'],
  everysec: [
    'limited',
    'If the host of Redis loses power, about one second of writes is lost. If Redis crashes while its disk is busy, ' +
      'up to two.',
  ],
  memory: ['broken', 'A restart of Redis loses what its last snapshot does not have, or everything.'],
  unknown: ['unknown', 'Redis does not report how it writes to its disk: what survives is up to the provider.'],
};

export function promisesOf(checks: readonly Check[], durability: Durability | null): PromiseState[] {
  const stateOf = (id: string): CheckState => checks.find((check) => check.id === id)?.state ?? 'skipped';
  const promise = (id: Id, state: PromiseState['state'], text: string): PromiseState => ({
    ...{ id, name: NAMES[id], state, text },
  });
  const isUsable = stateOf('start') === 'passed';
  const unknown = (id: Id): PromiseState =>
    promise(id, 'unknown', 'The engine does not start on this server as it is.');
  const ofBooks = (id: Id): PromiseState => {
    if (stateOf('eviction') === 'failed') return promise(id, 'broken', 'Redis would delete books when memory is low.');
    if (!isUsable) return unknown(id);
    if (stateOf('eviction') === 'warning') return promise(id, 'unknown', 'Only if the server never evicts keys.');
    return promise(id, 'holds', 'One script changes all of it, or none.');
  };
  const [lossState, lossText] = LOSS[durability ?? 'unknown'];
  const replicas = checks.find(({ id }) => id === 'replication')?.found ?? '';
  const failover = replicas.includes('asynchronous')
    ? ' A failover can lose the last writes; shows are paused first.'
    : '';
  return [
    ...(['I1', 'I2', 'I3', 'I4', 'I6'] as const).map(ofBooks),
    isUsable ? promise('I5', 'holds', 'Each show follows the clock of its server.') : unknown('I5'),
    isUsable ? promise('I7', 'holds', 'What scripts publish arrives; a gap is noticed.') : unknown('I7'),
    isUsable
      ? promise(
          'I8',
          failover !== '' && lossState === 'holds' ? 'limited' : lossState,
          `${lossText}${failover} Killing any process of Stampede loses nothing.`,
        )
      : unknown('I8'),
  ].sort((a, b) => a.id.localeCompare(b.id));
}
