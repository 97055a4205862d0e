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
  I9: 'bounded cost',
  I10: 'two releases',
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

/** By the state of the check `archive-folder`. */
const ARCHIVES: Readonly<Record<CheckState, readonly [PromiseState['state'], string]>> = {
  passed: ['holds', 'A show leaves Redis after its retention, and its files are in ARCHIVE_DIR.'],
  warning: ['limited', 'Ended shows may stay in Redis: see archive-folder.'],
  failed: ['broken', 'Ended shows stay in Redis: see archive-folder.'],
  skipped: ['unknown', 'Not checked: this host archives no shows. Run doctor where the jobs run.'],
};

export interface Started {
  /** null: unknown, or no store was started. */
  readonly durability: Durability | null;
  /** The engine runs here, and decides only what a full Redis accepts. */
  readonly isFull: boolean;
}

export function promisesOf(checks: readonly Check[], { durability, isFull }: Started): PromiseState[] {
  const stateOf = (id: string): CheckState => checks.find((check) => check.id === id)?.state ?? 'skipped';
  const promise = (id: Id, state: PromiseState['state'], text: string): PromiseState => ({
    ...{ id, name: NAMES[id], state, text },
  });
  const isUsable = isFull || stateOf('start') === 'passed';
  const whyUnknown =
    stateOf('start') === 'skipped'
      ? 'Not checked: --read-only runs no script.'
      : 'Not checked: the engine does not start on this server as it is.';
  const ifUsable = (id: Id, state: PromiseState['state'], text: string): PromiseState =>
    isUsable ? promise(id, state, text) : promise(id, 'unknown', whyUnknown);
  const tried = isFull
    ? ' Checked: scripts, their permissions, maxmemory-policy. Not checked: a reserve, because Redis is full.'
    : '';
  const ofBooks = (id: Id): PromiseState => {
    if (stateOf('eviction') === 'failed') return promise(id, 'broken', 'Redis would delete books when memory is low.');
    if (stateOf('eviction') === 'warning') return ifUsable(id, 'unknown', 'Only if the server never evicts keys.');
    return ifUsable(id, 'holds', `One script changes all of it, or none.${tried}`);
  };
  const [lossState, lossText] = LOSS[durability ?? 'unknown'];
  const replicas = checks.find(({ id }) => id === 'replication')?.found ?? '';
  const failover = replicas.includes('asynchronous')
    ? ' A failover can lose the last writes; shows are paused first.'
    : '';
  const archives = ARCHIVES[stateOf('archive-folder')];
  return [
    ...(['I1', 'I2', 'I3', 'I4'] as const).map(ofBooks),
    ifUsable('I5', 'holds', 'Each show follows the clock of its server.'),
    ofBooks('I6'),
    ifUsable('I7', 'holds', 'What scripts publish arrives; a gap is noticed.'),
    ifUsable(
      'I8',
      failover !== '' && lossState === 'holds' ? 'limited' : lossState,
      `${lossText}${failover} Killing any process of Stampede loses nothing.`,
    ),
    ifUsable('I9', ...archives),
    ifUsable('I10', 'holds', 'Each script checks the format of its show, and refuses a newer one.'),
  ];
}
