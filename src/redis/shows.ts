/** Shows and products. A change is applied if its version of the show is still the newest. */
import { randomBytes } from 'node:crypto';
import { checkProduct, type ProductStore, productInUse } from '../domain/product.ts';
import {
  addressesOf,
  checkAnnouncement,
  checkShowPatch,
  checkShowSpec,
  endedAnnouncement,
  patchedShow,
  type ShowSpec,
  type ShowStore,
} from '../domain/show.ts';
import { LIMITS } from '../limits.ts';
import { type ErrorCode, fail, ok, type Result } from '../protocol/codes.ts';
import type { EventType, Product, ShowView } from '../protocol/messages.ts';
import { bodyHash } from './body-hash.ts';
import { viewOf } from './command-reply.ts';
import { formatFor } from './formats.ts';
import { indexPublicShow } from './public-shows.ts';
import { pack, readProduct, type ShowRecord, showView } from './records.ts';
import { isErrorCode, mapped, newEpoch, numberOf, type ScriptRunner, textOf } from './script-runner.ts';
import { listShows } from './show-list.ts';
import { sizeOfShow } from './show-size.ts';
import { importing } from './show-transfer.ts';
import { nameLeftOut, readable } from './unreadable.ts';

const TRIES_MAX = 8;
const NOTHING = Buffer.alloc(0);
const NOT_CURRENT = 'This is not the announcement that the show has now: another one has replaced it, or it was ended.';

interface Change {
  view?: ShowView;
  put?: Product;
  remove?: string;
  /** The product must exist. */
  pin?: string;
  events: Array<[EventType, Record<string, unknown>]>;
}

const newId = (prefix: string): string => `${prefix}-${randomBytes(6).toString('hex')}`;

const tooMany = (): Result<never> =>
  fail('overloaded', 'Too many changes of this show at once; try again.', { retryAfterMs: 200 });

function recordOf(view: ShowView): ShowRecord {
  const { state: _state, createdAt: _createdAt, ...record } = view;
  return record;
}

export interface Shows extends ShowStore, ProductStore {
  /** Creates a show whose products and sales follow. `isFilling`: some may be missing. */
  createFilling(spec: ShowSpec, body: unknown): Promise<Result<{ show: ShowView; isFilling: boolean }>>;
}

export function createShows(runner: ScriptRunner): Shows {
  const now = (): number => runner.connection.clock.now();

  /** Reads the header only. */
  async function read(showId: string): Promise<Result<{ view: ShowView; ver: string }>> {
    const loaded = await runner.run('load', showId, [0, true]);
    return runner.decoded(runner.keysOf(showId).show, loaded, ([, , , , state, view, created, ver]) => ({
      view: viewOf(view, state, created),
      ver: textOf(ver),
    }));
  }

  /** The last change of each show that waits or runs here, and how many do. */
  const queues = new Map<string, { last: Promise<unknown>; length: number }>();

  /** Makes a change after those of this process that came before: they would refuse each other. */
  async function change(showId: string, decide: (show: ShowView) => Result<Change>): Promise<Result<ShowView>> {
    const queue = queues.get(showId) ?? { last: Promise.resolve(), length: 0 };
    if (queue.length >= LIMITS.changesQueuedMax) return tooMany();
    queue.length += 1;
    const done = queue.last.then(() => changeNow(showId, decide));
    queue.last = done.catch(() => {});
    queues.set(showId, queue);
    try {
      return await done;
    } finally {
      queue.length -= 1;
      if (queue.length === 0) queues.delete(showId);
    }
  }

  /** Reads, decides and applies. Retries if another process made a change between. */
  async function changeNow(showId: string, decide: (show: ShowView) => Result<Change>): Promise<Result<ShowView>> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const current = await read(showId);
      if (!current.ok) return current;
      const decided = decide(current.value.view);
      if (!decided.ok) return decided;
      const { view, put, remove, pin, events } = decided.value;
      if (events.length === 0) return ok(current.value.view);
      const args = {
        ver: current.value.ver,
        ...(view ? { view: true, state: view.state } : {}),
        ...(put ? { put: put.id } : {}),
        ...(remove ? { remove } : {}),
        ...(pin ? { pin } : {}),
        events: events.map(([type]) => type),
      };
      const records = [view ? pack(recordOf(view)) : NOTHING, put ? pack(put) : NOTHING];
      const reply = await runner.run('show_apply', showId, args, ...records, ...events.map(([, data]) => pack(data)));
      if (!reply.ok) return reply;
      const outcome = textOf(reply.value[0]);
      if (outcome === 'product_in_use')
        return { ok: false, error: productInUse(remove ?? put?.id ?? '', reply.value.slice(1).map(textOf), !remove) };
      if (isErrorCode(outcome)) return fail(outcome);
      if (outcome !== 'stale') return ok(view ?? current.value.view);
    }
    return tooMany();
  }

  /** Makes a job compute again when the show is archived. Without it that happens hourly. */
  const lookAtRetention = (showId: string): Promise<Result<unknown>> =>
    runner.write('ZADD', runner.keys.retention, now(), showId);

  /** Puts a public show into the list, or takes it out. Fails if that fails: the caller repeats. */
  async function indexed(changed: Result<ShowView>, isForced = false): Promise<Result<ShowView>> {
    if (!changed.ok || !(isForced || changed.value.visibility === 'public')) return changed;
    return mapped(await indexPublicShow(runner, changed.value), () => changed.value);
  }

  /** Releases before this one write the event only. */
  const announced = (showId: string, data: { text: string; until?: number }, command = {}) => {
    const args = { announced: true, events: ['announcement'], ...command };
    return runner.run('show_apply', showId, args, NOTHING, NOTHING, pack(data));
  };

  const getShow = async (showId: string): Promise<Result<ShowView>> => mapped(await read(showId), ({ view }) => view);

  /** `body`: of a show with products and sales, in place of its record. */
  async function create(spec: ShowSpec, body?: unknown): Promise<Result<{ show: ShowView; isFilling: boolean }>> {
    const wrong = checkShowSpec(spec, now());
    if (wrong) return { ok: false, error: wrong };
    const record: ShowRecord = {
      id: spec.id ?? newId('show'),
      title: spec.title,
      startsAt: spec.startsAt ?? null,
      guests: spec.guests ?? true,
      slowModeMs: spec.slowModeMs ?? 0,
      chatShownPerSecond: spec.chatShownPerSecond ?? 0,
      ...(spec.retentionMs === undefined ? {} : { retentionMs: spec.retentionMs }),
      ...(spec.visibility === undefined ? {} : { visibility: spec.visibility }),
      ...addressesOf(spec),
      brands: spec.brands ?? [],
      pinned: null,
    };
    // The indexes are in other slots, so they are written first: readers skip an entry without a
    // show.
    const { shows, retention } = runner.keys;
    const added = await runner.guard((client) =>
      Promise.all([shows, retention].map((index) => client.zadd(index, 'NX', now(), record.id))),
    );
    if (!added.ok) return added;
    const event = pack({ show: showView(record, 'planned', now()) });
    const format = formatFor(runner.connection.keepsFormat);
    const filling = body === undefined ? {} : { filling: true };
    const args = { body: bodyHash(body ?? record), epoch: newEpoch(), format, ...filling };
    const reply = await runner.run('show_create', record.id, args, pack(record), event);
    if (!reply.ok) return reply;
    const [tag, view, created, state, isFilling] = reply.value;
    if (textOf(tag) === 'importing') return importing('already_exists', record.id, numberOf(view));
    if (textOf(tag) === 'already_exists')
      return fail('already_exists', `A show with id ${record.id} exists and differs.`);
    const show = runner.decoded(runner.keysOf(record.id).show, reply, () => viewOf(view, state, created));
    return mapped(await indexed(show), (show) => ({ show, isFilling: textOf(isFilling) === '1' }));
  }

  return {
    createShow: async (spec) => mapped(await create(spec), ({ show }) => show),

    createFilling: create,

    getShow,

    listShows: (page) => listShows(runner, page),

    async sizeOf(showId) {
      const { keys } = runner;
      const read = await runner.guard((client) => client.hmget(keys.show(showId).of.show, 'state', 'purge'));
      if (!read.ok) return read;
      const [state = null, purge] = read.value;
      if (state === null || state === 'deleting') return fail('show_not_found');
      const expiresAt = state === 'archived' ? Number(purge) : null;
      return runner.guard((client) => sizeOfShow(client, keys, showId, expiresAt));
    },

    async updateShow(showId, patch) {
      const changed = await change(showId, (show) => {
        const view = patchedShow(show, patch);
        const wrong = checkShowPatch(patch, now());
        return wrong ? { ok: false, error: wrong } : ok({ view, events: [['show.updated', { show: view }]] });
      });
      if (changed.ok && patch.retentionMs !== undefined) await lookAtRetention(showId);
      return indexed(changed, patch.visibility !== undefined);
    },

    startShow: async (showId) => {
      const changed = await change(showId, (show) => {
        if (show.state === 'ended')
          return fail('illegal_move', 'The show has ended and cannot start again.', { details: { state: show.state } });
        const view: ShowView = { ...show, state: 'live' };
        return ok({ view, events: show.state === 'live' ? [] : [['show.started', { show: view }]] });
      });
      return indexed(changed);
    },

    async endShow(showId) {
      const changed = await change(showId, (show) => {
        const view: ShowView = { ...show, state: 'ended' };
        return ok({ view, events: show.state === 'ended' ? [] : [['show.ended', { show: view }]] });
      });
      if (changed.ok) await lookAtRetention(showId);
      return indexed(changed);
    },

    async putProduct(showId, product) {
      const wrong = checkProduct(product);
      if (wrong) return { ok: false, error: wrong };
      const changed = await change(showId, (show) => {
        if (!show.brands.some((brand) => brand.id === product.brand))
          return fail('invalid_request', `The show has no brand ${product.brand}.`, { details: { field: 'brand' } });
        return ok({ put: product, events: [['product.saved', { product }]] });
      });
      return mapped(changed, () => product);
    },

    async removeProduct(showId, product) {
      const changed = await change(showId, (show) => {
        const removed: Change = { remove: product, events: [['product.removed', { product }]] };
        if (show.pinned !== product) return ok(removed);
        const unpinned: Change['events'] = [['product.pinned', { product: null }]];
        return ok({ ...removed, view: { ...show, pinned: null }, events: [...removed.events, ...unpinned] });
      });
      return mapped(changed, () => null);
    },

    async listProducts(showId, onUnreadable) {
      const loaded = await runner.run('load', showId, [0]);
      if (!loaded.ok) return loaded;
      const [, , , , , , , , , , , packed] = loaded.value;
      const products = (packed as Buffer[]).flatMap((bytes) => readable(() => readProduct(bytes)));
      if (products.length === (packed as Buffer[]).length) return ok(products);
      return nameLeftOut(runner, runner.keysOf(showId).products, products, onUnreadable);
    },

    pinProduct: (showId, product) =>
      change(showId, (show) => {
        const view = { ...show, pinned: product };
        const events: Change['events'] = show.pinned === product ? [] : [['product.pinned', { product }]];
        return ok({ view, ...(product === null ? {} : { pin: product }), events });
      }),

    async announce(showId, text, actor, repeat, ends = {}) {
      const wrong = checkAnnouncement(text, ends, now());
      if (wrong) return { ok: false, error: wrong };
      const { durationMs = LIMITS.announcementDefaultMs, until } = ends;
      // Without an end, the body is that of release 0.1.0.
      const end = until === undefined ? durationMs : { until };
      const body = ['announce', text, ...(end === LIMITS.announcementDefaultMs ? [] : [end])];
      const command = repeat === undefined ? {} : { key: repeat.key, actor, body: bodyHash(body) };
      const args = until === undefined ? command : { ...command, ends: until };
      const reply = await announced(showId, { text, until: until ?? now() + durationMs }, args);
      if (!reply.ok) return reply;
      const [outcome = '', tag] = reply.value.map(textOf);
      if (outcome === 'invalid_request') return { ok: false, error: endedAnnouncement() };
      if (isErrorCode(outcome)) return fail(outcome as ErrorCode, undefined, { details: { key: repeat?.key } });
      if (tag === '=') repeat?.onReplayed?.();
      return ok({ offset: Number(outcome) });
    },

    async clearAnnouncement(showId, _actor, offset) {
      const args = offset === undefined ? {} : { withdraws: String(offset) };
      const reply = await announced(showId, { text: '' }, args);
      const isOther = reply.ok && textOf(reply.value[0]) === 'not_found';
      return isOther ? fail('not_found', NOT_CURRENT) : mapped(reply, () => null);
    },
  };
}
