/** Two releases on one Redis: nodes are replaced one by one while viewers watch and buyers buy. */
import { setTimeout as sleep } from 'node:timers/promises';
import { replyOf } from '../../bench/users/back-office.ts';
import { isReplayed, reservationOf } from '../../bench/users/buyer.ts';
import { LIMITS } from '../../src/limits.ts';
import { unpackPreviousRelease } from '../support/previous-release.ts';
import { readBooks } from './books.ts';
import { type Part, SHOW } from './engine-under-test.ts';
import { SALE } from './flash-sale.ts';
import type { PlainClient } from './plain-client.ts';
import { scenario, shown } from './scenario.ts';
import { outcomeOf } from './virtual-users.ts';

const previous = unpackPreviousRelease();
const PLAN = {
  gateways: 3,
  roles: 'gateway,control,jobs',
  others: [],
  program: () => previous.program,
  startLater: ['gateway-2'],
};
/** How long buyers press after the opening of a sale; the nodes are replaced meanwhile. */
const SPREAD_MS = 12_000;
const MIXED_MS = 1_500;
const ANNOUNCE_EVERY_MS = 150;
const ERROR_LEVELS: readonly unknown[] = [50, 60, 'error', 'fatal'];

/** Returns what a process logged at the level of errors. */
function errorsIn({ name, log }: Part): string[] {
  const lines = log.split('\n').filter((line) => line.startsWith('{'));
  const isError = (line: string): boolean => ERROR_LEVELS.includes((JSON.parse(line) as { level: unknown }).level);
  return lines.filter(isError).map((line) => `${name} logged ${line.slice(0, 300)}`);
}

/** Returns which events a client did not get one by one. */
function gapsOf({ events, snapshots, node }: PlainClient): string[] {
  const gaps = events.flatMap(({ offset }, at) => {
    const before = events[at - 1]?.offset ?? offset - 1;
    return offset === before + 1 ? [] : [`I7: a client on ${node} got event ${offset} after ${before}`];
  });
  return snapshots === 0 ? gaps : [...gaps, `I7: a client on ${node} got ${snapshots} snapshots in place of events`];
}

export const releasesMixed = scenario(`${previous.version} and this release on one Redis`, PLAN, async (scene) => {
  const { engine, join, expect, note } = scene;
  const [first, second, third] = engine.gateways as [Part, Part, Part];

  async function replace(part: Part, program?: readonly string[]): Promise<void> {
    await part.stop();
    const { exitCode, signalCode } = part.program.child;
    expect(exitCode === 0, `${part.name} ended with ${exitCode ?? signalCode}`);
    part.useProgram(program);
    await part.start();
  }

  const users = await join(
    { units: 14, sales: [SALE, 'second'], laterMs: 6_000, holdMs: LIMITS.holdMinMs },
    {
      buyers: 60,
      viewers: 4,
      spreadMs: SPREAD_MS,
      patienceMs: 45_000,
      viewersMove: true,
    },
  );
  const { offices } = users.world.staged;
  let isOver = false;
  let announced = 0;
  async function announce(): Promise<void> {
    for (let n = 0; !isOver; n++) {
      const sent = await offices[n % offices.length]?.announce(SHOW, `announcement ${n}`).catch(() => null);
      if (sent) announced += 1;
      await sleep(ANNOUNCE_EVERY_MS);
    }
  }

  const started = Date.now();
  const took: string[] = [];
  const step = async (name: string, run: () => Promise<unknown>): Promise<void> => {
    await run();
    took.push(`${name} ${Date.now() - started}`);
  };
  const announcing = announce();
  await users.rush(async () => {
    await users.opening(200);
    third.useProgram();
    await step('join', () => third.start());
    await sleep(MIXED_MS);
    await step('first', () => replace(first));
    await sleep(MIXED_MS);
    await step('back', () => replace(first, previous.program));
    await sleep(MIXED_MS);
    await step('again', () => replace(first));
    await step('second', () => replace(second));
  });
  isOver = true;
  await announcing;
  note(`${announced} announcements; ${took.join(', ')}, ${Date.now() - started}`);

  // I4: a key that one release has decided is a repetition for the other one.
  const { reservations } = await readBooks(engine.redis.admin);
  let repeats = 0;
  for (const { user, client, grants, ended } of users.buyers) {
    for (const { key, reservation } of grants) {
      const { sale, lines } = reservation;
      const reply = await client.request({ t: 'reserve', key, sale, lines });
      const isSame = isReplayed(reply) && reservationOf(reply)?.id === reservation.id;
      expect(isSame, `I4: ${key} of ${user} was ${reservation.id} and is ${shown(reply)}`);
      repeats++;
    }
    for (const [id, { state, orderRef = '' }] of ended) {
      if (state !== 'confirmed') continue;
      const amount = reservations.get(id)?.amount ?? 0;
      for (const office of offices) {
        const repeated = outcomeOf(await replyOf(office.confirm(SHOW, id, { orderRef, amount }, `confirm-http-${id}`)));
        const isSame = repeated.type === 'ok' && repeated.replayed === true && repeated.reservation === id;
        expect(isSame, `I4: a repeated confirm of ${id} returned ${shown(repeated)}`);
        repeats++;
      }
    }
  }
  note(`${repeats} keys repeated`);

  const afterCheck = async (): Promise<void> => {
    for (const client of users.clients) for (const gap of gapsOf(client)) expect(false, gap);
    for (const part of engine.parts) expect(part.isAlive, `${part.name} has ended`);
    for (const part of engine.parts) for (const error of errorsIn(part)) expect(false, error);
    const { code, report } = await engine.verify(previous.program);
    expect(code === 0, `verify of ${previous.version} ended with ${code}: ${report.violations.slice(0, 5).join('; ')}`);
  };
  return { afterCheck };
});
