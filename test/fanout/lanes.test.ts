import t from 'tap';
import type { ChatBatch } from '../../src/domain/chat.ts';
import type { ChatPiece } from '../../src/domain/chat-piece.ts';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import type { CountsResult } from '../../src/domain/show-log.ts';
import { newBucket, takeTokens } from '../../src/domain/token-bucket.ts';
import { BroadcastGroups } from '../../src/fanout/broadcast-groups.ts';
import { Broadcaster, type Publisher } from '../../src/fanout/broadcaster.ts';
import { ChatLane } from '../../src/fanout/chat-lane.ts';
import { newEncodeCounts } from '../../src/fanout/frames.ts';
import { StateLane } from '../../src/fanout/state-lane.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import type { Frame, SaleStateView, SaleView } from '../../src/protocol/messages.ts';
import { CountsReporter } from '../../src/rooms/counts.ts';
import { CountdownTicker } from '../../src/selling/countdown.ts';
import { DueTimer } from '../../src/selling/due-timer.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Sent {
  readonly topic: string;
  readonly frame: Frame;
}

function lanes(): {
  clock: ManualClock;
  sent: Sent[];
  groups: BroadcastGroups;
  options: ConstructorParameters<typeof ChatLane>[0];
} {
  const clock = new ManualClock();
  const sent: Sent[] = [];
  const publisher: Publisher = {
    publish: (topic, bytes) => sent.push({ topic, frame: JSON.parse(Buffer.from(bytes).toString()) }),
    onFrame: () => {},
  };
  const groups = new BroadcastGroups('show', new Broadcaster(publisher, clock));
  groups.countViewer('json', 1);
  groups.join('json');
  const afterWrites: ManualClock['afterWrites'] = (run) => clock.afterWrites(run);
  const options = { clock, groups, afterWrites, encodes: newEncodeCounts(), now: () => clock.time };
  return { clock, sent, groups, options };
}

function batch(firstId: number, count: number): ChatBatch {
  const writer = new MessagePackWriter();
  for (let i = 0; i < count; i += 1) writeChatItem(writer, i, 0, 'ann', `m${firstId + i}`, 0);
  return { node: 'n', firstId, at: 5, count, items: writer.take() };
}

const texts = (sent: Sent[]): string[] =>
  sent.flatMap(({ frame }) => (frame.chat ?? []).flatMap((group) => group[2].map((item) => item[3])));

t.test('state goes along with chat, which is written to the same viewers', async (t) => {
  const { clock, sent, options } = lanes();
  const state = new StateLane(options);
  const chat = new ChatLane({ ...options, beforeFlush: () => state.flushAlong() });
  const counts = (viewers: number): void => state.pushCounts({ viewers, peak: viewers, hearts: 0, unique: 0 });
  counts(1);
  clock.write();
  t.match(sent.splice(0), [{ topic: 'ej0/show', frame: { state: { viewers: 1 } } }]);
  counts(2);
  chat.push(batch(1, 1));
  t.match(sent.splice(0), [{ topic: 'cj0/show' }], 'not before its shortest pause is over');
  clock.write();
  chat.push(batch(2, 1));
  clock.advance(LIMITS.stateTickMs);
  t.match(sent.splice(0), [{ topic: 'cj0/show' }, { topic: 'ej0/show', frame: { state: { viewers: 2 } } }]);

  // A room in which a write takes long: by itself the state would wait for the longest tick.
  clock.writeMs = 200;
  counts(3);
  clock.advance(LIMITS.stateTickMs);
  counts(4);
  clock.advance(LIMITS.stateTickMs);
  t.match(sent.splice(0), [{ frame: { state: { viewers: 3 } } }]);
  chat.push(batch(3, 1));
  t.match(
    sent.splice(0),
    [{ topic: 'ej0/show', frame: { state: { viewers: 4 } } }, { topic: 'cj0/show' }],
    'one after the other, in one turn',
  );
  clock.advance(LIMITS.stateTickMaxMs);
  t.same(sent, [], 'and nothing is left');
});

t.test('chat: batches of many nodes leave in one frame a tick, in the order of the log', async (t) => {
  const { clock, sent, options } = lanes();
  const lane = new ChatLane(options);
  lane.push(batch(1, 2));
  clock.write();
  t.equal(sent.length, 1, 'the first at once');
  lane.push(batch(3, 1));
  lane.push(batch(4, 2));
  lane.push(batch(4, 2));
  t.equal(sent.length, 1);
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.length, 2);
  t.same(texts(sent), ['m1', 'm2', 'm3', 'm4', 'm5'], 'a batch that came twice is left out');
  t.equal(lane.sentCount, 5);
  lane.catchUp([batch(4, 2), batch(6, 1)], 6);
  clock.advance(LIMITS.tickMinMs);
  t.equal(texts(sent).at(-1), 'm6');
  lane.catchUp([batch(10, 1)], 10);
  clock.advance(LIMITS.tickMinMs);
  t.ok(
    sent.some(({ frame }) => frame.missed === 3),
    'a hole that cannot be filled is counted',
  );
});

/** Long messages, so many bytes of them. */
function muchChat(firstId: number, bytes: number): ChatBatch {
  const writer = new MessagePackWriter();
  let count = 0;
  for (; writer.bytes < bytes; count += 1)
    writeChatItem(writer, count, 0, 'ann', `m${firstId + count} ${'x'.repeat(100)}`, 0);
  return { node: 'n', firstId, at: 5, count, items: writer.take() };
}

t.test('more chat than a flush takes leaves in several, each when the one before is written', async (t) => {
  const { clock, sent, options } = lanes();
  clock.writeMs = 30;
  const lane = new ChatLane(options);
  const flush = LIMITS.flushFramesMax * LIMITS.frameOutBytesTarget;
  let count = 0;
  for (let i = 0; i < 5; i += 1) {
    const much = muchChat(count + 1, flush / 2);
    lane.push(much);
    count += much.count;
  }
  let sentInAll = texts(sent.splice(0)).length;
  const framesPerFlush: number[] = [];
  for (let turn = 0; turn < 6; turn += 1) {
    const before = clock.time;
    clock.write();
    t.ok(clock.time - before <= 30, 'nothing is waited for in between');
    framesPerFlush.push(sent.length);
    sentInAll += texts(sent.splice(0)).length;
  }
  clock.advance(LIMITS.tickMaxMs);
  sentInAll += texts(sent.splice(0)).length;
  t.equal(sentInAll, count);
  t.equal(
    Math.max(...framesPerFlush),
    LIMITS.flushFramesMax,
    `in JSON too, whose frames hold less: ${framesPerFlush.join(', ')}`,
  );
  t.equal(clock.armed, 0);

  for (let i = 0; i < 3; i += 1) {
    const much = muchChat(count + 1, flush);
    lane.push(much);
    count += much.count;
  }
  sent.length = 0;
  lane.flushNow();
  t.equal(lane.sentCount, count, 'on demand everything leaves at once');
  t.equal(missed(sent), 0);
});

t.test(
  'C-11: chat that comes faster than it can be written is refused here, and left out and counted where others took it',
  async (t) => {
    const { clock, sent, options } = lanes();
    // Its writes take so long that hardly a flush gets through.
    clock.writeMs = 1_000;
    const lane = new ChatLane(options);
    let count = 0;
    const push = (): void => {
      const much = muchChat(count + 1, 50_000);
      lane.push(much);
      count += much.count;
    };
    push();
    t.notOk(lane.isBehind);
    let refusedAfterMs = 0;
    for (let second = 1; second <= 8; second += 1) {
      for (let i = 0; i < 4; i += 1) push();
      clock.write();
      if (lane.isBehind && refusedAfterMs === 0) refusedAfterMs = clock.time - 1_000;
    }
    t.ok(
      refusedAfterMs > LIMITS.chatWaitMaxMs && refusedAfterMs <= LIMITS.chatWaitMaxMs + 2_000,
      `refused after ${refusedAfterMs} ms`,
    );
    for (let turn = 0; turn < 100 && lane.isBehind; turn += 1) clock.write();
    t.notOk(lane.isBehind, 'and taken again when it has caught up');
    clock.advance(3_000);
    clock.write();
    const shown = texts(sent).length;
    t.equal(shown + missed(sent), count, 'everything was sent or counted');
    t.ok(missed(sent) > 0 && shown > 0, `${missed(sent)} left out`);
    const numbers = texts(sent).map((text) => Number.parseInt(text.slice(1), 10));
    t.same(
      numbers,
      [...numbers].sort((a, b) => a - b),
      'in order',
    );
  },
);

/** As the log hands it out above the display cap: `shown` of `taken` messages. */
function sampled(firstId: number, taken: number, shown: readonly number[]): ChatBatch {
  const writer = new MessagePackWriter();
  for (const i of shown) writeChatItem(writer, i, 0, 'ann', `m${firstId + i}`, 0);
  return { node: 'n', firstId, at: 5, count: shown.length, items: writer.take(), taken, last: shown.at(-1) ?? -1 };
}

const missed = (sent: Sent[]): number => sent.reduce((sum, { frame }) => sum + (frame.missed ?? 0), 0);

t.test('C-9: what was shown and what is told as missed add up, at every frame', async (t) => {
  const { clock, sent, options } = lanes();
  const lane = new ChatLane(options);
  lane.reset([batch(1, 3)], 10);
  lane.push(sampled(11, 10, [2, 7]));
  clock.write();
  t.match(
    sent.at(-1)?.frame,
    { missed: 6, chat: [[11, 5, [[2], [7]]]] },
    'up to the last one shown, and nothing of before',
  );
  lane.push(sampled(21, 5, []));
  lane.push(sampled(26, 300, [299]));
  clock.advance(LIMITS.tickMinMs);
  t.same([texts(sent).length, missed(sent)], [3, 325 - 10 - 3]);
  lane.push(sampled(326, 40, [0]));
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.at(-1)?.frame.missed, undefined, 'what comes behind it may still be told with the next');
  clock.advance(LIMITS.missedChatReportMs);
  t.match(sent.at(-1)?.frame, { missed: 39, chat: [[366, Number, []]] }, 'or by itself');
  t.equal(lane.sentCount, 365 - 10);
  t.equal(texts(sent).length + missed(sent), 355);
  lane.push(batch(366, 1));
  clock.advance(LIMITS.tickMinMs);
  t.equal(sent.at(-1)?.frame.missed, undefined, 'once');
  t.equal(clock.armed, 0, 'no timer is left');
});

t.test('C-9: frames of one flush count each its own', async (t) => {
  const { clock, sent, options } = lanes();
  const lane = new ChatLane(options);
  const long = Array.from({ length: 200 }, (_, i) => 3 * i);
  const writer = new MessagePackWriter();
  for (const i of long) writeChatItem(writer, i, 0, 'ann', 'x'.repeat(280), 0);
  lane.push({ node: 'n', firstId: 1, at: 5, count: 200, items: writer.take(), taken: 600, last: 597 });
  clock.write();
  t.ok(sent.length > 3);
  let id = 0;
  for (const { frame } of sent) {
    const count = (frame.chat ?? []).reduce((sum, [, , items]) => sum + items.length, 0);
    const last = frame.chat?.at(-1)?.[2].at(-1)?.[0] ?? -1;
    t.equal(count + (frame.missed ?? 0), 1 + last - id);
    id = 1 + last;
  }
});

t.test('C-10: a message taken off is not sent, if it waits, and not kept', async (t) => {
  const { clock, sent, options } = lanes();
  const lane = new ChatLane(options);
  lane.push(batch(1, 3));
  clock.write();
  lane.push(batch(4, 3));
  lane.push(batch(7, 1));
  const { version } = lane.ring;
  lane.remove(new Set([2, 5, 7, 99]));
  t.not(lane.ring.version, version, 'what was made of the history is stale');
  clock.advance(LIMITS.tickMinMs);
  t.same(texts(sent), ['m1', 'm2', 'm3', 'm4', 'm6']);
  clock.advance(LIMITS.missedChatReportMs);
  t.equal(missed(sent), 2);
  const idsOf = (pieces: readonly ChatPiece[]): number[] =>
    pieces.flatMap((piece) => JSON.parse(`[${piece.json()}]`).map(([i]: [number]) => piece.firstId + i));
  t.same(idsOf(lane.ring.history(50)), [1, 3, 4, 6]);
  t.same(idsOf(lane.ring.after(1, 50).pieces), [3, 4, 6]);
  t.equal(lane.ring.after(1, 50).missed, 3);
  lane.remove(new Set([1, 3, 4, 6]));
  t.same(idsOf(lane.ring.history(50)), []);
  lane.push(batch(8, 1));
  clock.advance(LIMITS.tickMinMs);
  t.equal(texts(sent).at(-1), 'm8');
});

t.test('left-out chat arms no timer in a room without viewers', async (t) => {
  const { clock, groups, options } = lanes();
  groups.countViewer('json', -1);
  const lane = new ChatLane(options);
  lane.push(sampled(1, 10, []));
  t.equal(clock.armed, 0);
  groups.countViewer('json', 1);
  lane.push(batch(11, 1));
  clock.write();
  t.equal(lane.sentCount, 11);
});

t.test('nothing is encoded or published for nobody, but history is kept', async (t) => {
  const { clock, sent, groups, options } = lanes();
  groups.countViewer('json', -1);
  const lane = new ChatLane(options);
  lane.push(batch(1, 3));
  clock.write();
  t.equal(sent.length, 0);
  t.same(options.encodes, newEncodeCounts());
  t.equal(lane.ring.lastId, 3);
});

const state = (id: string, rev: number, left: Record<string, number>): SaleStateView => ({
  id,
  rev,
  state: 'open',
  opensAt: 1,
  closesAt: 2,
  left,
});

t.test('S-1: state: the newest value of each thing, one frame a tick', async (t) => {
  const { clock, sent, options } = lanes();
  const lane = new StateLane(options);
  lane.pushSales([state('s', 1, { a: 9 })]);
  clock.write();
  for (let rev = 2; rev < 50; rev += 1) lane.pushSales([state('s', rev, rev % 2 ? { a: 100 - rev } : { b: rev })]);
  lane.pushSales([state('s', 3, { a: -1 })]);
  lane.pushCounts({ viewers: 1, peak: 1, hearts: 0, unique: 1 });
  lane.pushCounts({ viewers: 2, peak: 2, hearts: 5, unique: 2 });
  t.equal(sent.length, 1);
  clock.advance(LIMITS.stateTickMs);
  t.equal(sent.length, 2);
  t.same(sent[1]?.frame.state, {
    viewers: 2,
    peak: 2,
    hearts: 5,
    unique: 2,
    sales: [state('s', 49, { a: 51, b: 48 })],
  });
  lane.pushSales([state('s', 50, { a: 0 })]);
  lane.supersede({ id: 's', rev: 51 } as SaleView);
  clock.advance(LIMITS.stateTickMs);
  t.equal(sent.length, 2, 'an event said it all');
});

t.test('S-4: countdowns tick on whole seconds, only while somebody listens and something counts', async (t) => {
  const clock = new ManualClock();
  const ticks: number[] = [];
  let hasViewers = true;
  const sale = { id: 's', state: 'scheduled', opensAt: clock.time + 3_400, closesAt: null } as SaleView;
  const ticker = new CountdownTicker({
    clock,
    now: () => clock.time,
    sales: () => [sale],
    hasViewers: () => hasViewers,
    onTick: ([first]) => ticks.push(first?.remainingMs ?? -1),
  });
  ticker.start();
  clock.advance(2_500);
  t.same(ticks, [3_000, 2_000, 1_000]);
  hasViewers = false;
  clock.advance(5_000);
  t.equal(clock.armed, 0, 'no timer for nobody');
  ticker.stop();
});

t.test(
  'S-3: counts: people new to the node are reported once, in slices, and again when a report was lost',
  async (t) => {
    const clock = new ManualClock();
    const reports: Array<readonly string[]> = [];
    let works = false;
    const log = {
      reportCounts: async (
        _show: string,
        _node: string,
        viewers: number,
        _hearts: number,
        newcomers: readonly string[] = [],
      ): Promise<Result<CountsResult>> => {
        reports.push(newcomers);
        return works
          ? ok({ counts: { viewers, peak: viewers, hearts: 0, unique: 0 }, epoch: 'e1', rev: 1 })
          : fail('redis_unavailable');
      },
    };
    const counts = new CountsReporter({ showId: 's', node: 'n', clock, log, onGone() {}, onResult: () => {} });
    counts.addNewcomer('ann');
    counts.addNewcomer('ann');
    await clock.pass(10);
    t.same(reports, [['ann']]);
    works = true;
    await clock.pass(LIMITS.countsTickMs);
    t.same(reports, [['ann'], ['ann']], 'the answer was lost');
    await clock.pass(LIMITS.countsTickMs * 3);
    t.equal(reports.length, 2);
    for (let i = 0; i < LIMITS.uniquesPerReportMax + 5; i += 1) counts.addNewcomer(`u${i}`);
    await clock.pass(LIMITS.countsTickMs * 3);
    t.same(
      reports.slice(2).map(({ length }) => length),
      [LIMITS.uniquesPerReportMax, 5],
    );
    counts.addNewcomer('last');
    await counts.close();
    t.same(reports.at(-1), ['last']);
    t.equal(clock.armed, 0);
  },
);

t.test(
  'S-3: counts: at most one report a second, only when something changed, repeated before they lapse',
  async (t) => {
    const clock = new ManualClock();
    const reports: Array<[atMs: number, viewers: number, hearts: number]> = [];
    const log = {
      reportCounts: async (
        _show: string,
        _node: string,
        viewers: number,
        hearts: number,
      ): Promise<Result<CountsResult>> => {
        reports.push([clock.time - 1_000, viewers, hearts]);
        return ok({ counts: { viewers, peak: viewers, hearts, unique: 0 }, epoch: 'e1', rev: 1 });
      },
    };
    const counts = new CountsReporter({ showId: 's', node: 'n', clock, log, onGone() {}, onResult: () => {} });
    counts.setViewers(1);
    await clock.pass(10);
    counts.setViewers(2);
    counts.addHearts(3);
    counts.addHearts(4);
    await clock.pass(1_100);
    t.same(
      reports.map(([, viewers, hearts]) => [viewers, hearts]),
      [
        [1, 0],
        [2, 7],
      ],
    );
    t.ok((reports[1]?.[0] ?? 0) >= LIMITS.countsTickMs);
    await clock.pass(LIMITS.nodeCountsTtlMs);
    t.ok(reports.length >= 4 && reports.length <= 6, 'repeated, rarely');
    const before = reports.length;
    await counts.close();
    t.same(
      reports.slice(before).map(([, viewers]) => viewers),
      [0],
      'says goodbye once',
    );
    counts.setViewers(5);
    t.equal(clock.armed, 0);
  },
);

t.test('due: asks on the dot, again at once while there is more, and never spins', async (t) => {
  const clock = new ManualClock();
  const asked: number[] = [];
  const answers: Array<Result<{ done: number; nextDueAt: number | null }>> = [];
  const timer = new DueTimer({
    showId: 's',
    clock,
    delayMs: 3,
    rev: () => 1,
    onNextDue: () => {},
    store: {
      now: () => clock.time,
      tick: async () => {
        asked.push(clock.time);
        return answers.shift() ?? ok({ done: 0, nextDueAt: null });
      },
    },
  });
  answers.push(ok({ done: 100, nextDueAt: 2_000 }), ok({ done: 5, nextDueAt: null }));
  timer.set(2_000);
  await clock.pass(999);
  t.same(asked, []);
  await clock.pass(60);
  t.equal(asked.length, 2);
  t.equal(asked[0], 2_003);
  t.equal(clock.armed, 0, 'nothing planned, no timer');
  for (let i = 0; i < 200; i += 1) answers.push(i % 2 ? fail('redis_unavailable') : ok({ done: 0, nextDueAt: 3_000 }));
  timer.set(3_000);
  await clock.pass(3_000);
  t.ok(asked.length < 40, `backs off: ${asked.length}`);
  timer.stop();
  t.equal(clock.armed, 0);
});

t.test('L-1: a token bucket refills by looking at the clock', async (t) => {
  const rate = { perSecond: 2, burst: 4 };
  const bucket = newBucket(rate, 0);
  t.same(
    [0, 0, 0, 0, 0].map((now) => takeTokens(bucket, rate, now)),
    [0, 0, 0, 0, 500],
  );
  t.equal(takeTokens(bucket, rate, 500), 0);
  t.equal(takeTokens(bucket, rate, 500, 3), 1_500, 'costs may be more than one');
  t.equal(takeTokens(bucket, rate, 60_000, 4), 0, 'never above the burst');
  t.equal(takeTokens(bucket, rate, 60_000), 500);
  t.equal(takeTokens(bucket, rate, 0), 500, 'a clock that goes back gives nothing');
});
