/**
 * Shows and products: read, prepare the change in TypeScript, apply it if nobody else changed the
 * show meanwhile.
 */
import { hash, randomBytes } from 'node:crypto';
import { stringify as stableStringify } from 'safe-stable-stringify';
import type { Actor, CommandMeta } from '../domain/command.ts';
import { checkProduct } from '../domain/product.ts';
import type { ShowSpec, ShowStore } from '../domain/show.ts';
import { checkAnnouncement, checkShowPatch, checkShowSpec } from '../domain/show.ts';
import { LIMITS } from '../limits.ts';
import { type ErrorCode, fail, ok, type Result } from '../protocol/codes.ts';
import type { EventType, Product, ShowState, ShowView } from '../protocol/messages.ts';
import { pack, type ShowRecord, showView, unpack } from './records.ts';
import { bytesOf, isErrorCode, newEpoch, type ScriptSession, textOf } from './session.ts';

const RACE_TRIES_MAX = 8;
const NOTHING = Buffer.alloc(0);

interface Change {
  view?: ShowView;
  put?: Product;
  remove?: string;
  events: Array<[EventType, Record<string, unknown>]>;
}

const newId = (prefix: string): string => `${prefix}-${randomBytes(6).toString('hex')}`;
/** The order of a body's fields means nothing. */
export const bodyHash = (body: unknown): string =>
  hash('sha256', stableStringify(body) ?? '', 'base64url').slice(0, 22);

export class Shows implements ShowStore {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async createShow(spec: ShowSpec, _actor: Actor): Promise<Result<ShowView>> {
    const wrong = checkShowSpec(spec, this.#session.link.clock.now());
    if (wrong) return { ok: false, error: wrong };
    const record: ShowRecord = {
      id: spec.id ?? newId('show'),
      title: spec.title,
      startsAt: spec.startsAt ?? null,
      guests: spec.guests ?? true,
      slowModeMs: spec.slowModeMs ?? 0,
      chatShownPerSecond: spec.chatShownPerSecond ?? 0,
      brands: spec.brands ?? [],
      pinned: null,
    };
    // The index lives in another slot, so it is written first: an entry without a show is skipped
    // by readers.
    const indexed = await this.#session.guard(() =>
      this.#session.link.client.zadd(this.#session.keys.shows, 'NX', this.#session.link.clock.now(), record.id),
    );
    if (!indexed.ok) return indexed;
    const event = pack({ show: showView(record, 'planned', this.#session.link.clock.now()) });
    const reply = await this.#session.run(
      'show_create',
      record.id,
      { body: bodyHash(record), epoch: newEpoch() },
      pack(record),
      event,
    );
    if (!reply.ok) return reply;
    const [tag, view, created, state] = reply.value;
    if (textOf(tag) === 'already_exists')
      return fail('already_exists', `A show with id ${record.id} exists and differs.`);
    return ok(showView(unpack<ShowRecord>(bytesOf(view)), textOf(state) as ShowState, Number(textOf(created))));
  }

  async getShow(showId: string): Promise<Result<ShowView>> {
    const read = await this.#read(showId);
    return read.ok ? ok(read.value.view) : read;
  }

  async listShows(): Promise<Result<ShowView[]>> {
    const ids = await this.#session.guard(() =>
      this.#session.link.client.zrevrange(this.#session.keys.shows, 0, LIMITS.pageItemsMax - 1),
    );
    if (!ids.ok) return ids;
    const shows = await Promise.all(ids.value.map((id) => this.getShow(id)));
    const broken = shows.find((show) => !show.ok && show.error.code !== 'show_not_found');
    if (broken && !broken.ok) return broken;
    return ok(shows.flatMap((show) => (show.ok ? [show.value] : [])));
  }

  updateShow: ShowStore['updateShow'] = (showId, patch, _actor) =>
    this.#change(showId, (show) => {
      const view = { ...show, ...patch };
      const wrong = checkShowPatch(patch, this.#session.link.clock.now());
      return wrong ? { ok: false, error: wrong } : ok({ view, events: [['show.updated', { show: view }]] });
    });

  startShow: ShowStore['startShow'] = (showId, _actor) =>
    this.#change(showId, (show) => {
      if (show.state === 'ended')
        return fail('illegal_move', 'The show has ended and cannot start again.', { details: { state: show.state } });
      const view: ShowView = { ...show, state: 'live' };
      return ok({ view, events: show.state === 'live' ? [] : [['show.started', { show: view }]] });
    });

  endShow: ShowStore['endShow'] = (showId, _actor) =>
    this.#change(showId, (show) => {
      const view: ShowView = { ...show, state: 'ended' };
      return ok({ view, events: show.state === 'ended' ? [] : [['show.ended', { show: view }]] });
    });

  async putProduct(showId: string, product: Product, _actor: Actor): Promise<Result<Product>> {
    const wrong = checkProduct(product);
    if (wrong) return { ok: false, error: wrong };
    const changed = await this.#change(showId, (show) => {
      if (!show.brands.some((brand) => brand.id === product.brand))
        return fail('invalid_request', `The show has no brand ${product.brand}.`, { details: { field: 'brand' } });
      return ok({ put: product, events: [['product.saved', { product }]] });
    });
    return changed.ok ? ok(product) : changed;
  }

  async removeProduct(showId: string, productId: string, _actor: Actor): Promise<Result<null>> {
    const changed = await this.#change(showId, (show) => {
      const events: Change['events'] = [['product.removed', { product: productId }]];
      if (show.pinned !== productId) return ok({ remove: productId, events });
      return ok({
        remove: productId,
        view: { ...show, pinned: null },
        events: [...events, ['product.pinned', { product: null }]],
      });
    });
    return changed.ok ? ok(null) : changed;
  }

  async listProducts(showId: string): Promise<Result<Product[]>> {
    const read = await this.#read(showId);
    return read.ok ? ok(read.value.products) : read;
  }

  async pinProduct(showId: string, productId: string | null, _actor: Actor): Promise<Result<ShowView>> {
    return this.#change(showId, (show, products) => {
      if (productId !== null && !products.some(({ id }) => id === productId)) return fail('product_not_found');
      return ok({
        view: { ...show, pinned: productId },
        events: show.pinned === productId ? [] : [['product.pinned', { product: productId }]],
      });
    });
  }

  async announce(
    showId: string,
    text: string,
    actor: Actor,
    repeat?: Omit<CommandMeta, 'actor'>,
  ): Promise<Result<{ offset: number }>> {
    const wrong = checkAnnouncement(text);
    if (wrong) return { ok: false, error: wrong };
    const repeatable = repeat === undefined ? {} : { key: repeat.key, actor, body: bodyHash(['announce', text]) };
    const reply = await this.#session.run(
      'show_apply',
      showId,
      { events: ['announcement'], ...repeatable },
      NOTHING,
      NOTHING,
      pack({ text }),
    );
    if (!reply.ok) return reply;
    const [outcome, tag] = reply.value.map(textOf);
    if (isErrorCode(outcome ?? '')) return fail(outcome as ErrorCode, undefined, { details: { key: repeat?.key } });
    if (tag === '=') repeat?.onReplayed?.();
    return ok({ offset: Number(outcome) });
  }

  async #read(showId: string): Promise<Result<{ view: ShowView; ver: number; products: Product[] }>> {
    const reply = await this.#session.run('load', showId, [0]);
    if (!reply.ok) return reply;
    const [, , , , state, view, created, ver, , , , products] = reply.value;
    return ok({
      view: showView(unpack<ShowRecord>(bytesOf(view)), textOf(state) as ShowState, Number(textOf(created))),
      ver: Number(textOf(ver)),
      products: (products as Buffer[]).map((bytes) => unpack<Product>(bytes)),
    });
  }

  /** Reads, decides, applies; begins again when somebody else was faster. */
  async #change(
    showId: string,
    decide: (show: ShowView, products: Product[]) => Result<Change>,
  ): Promise<Result<ShowView>> {
    for (let attempt = 0; attempt < RACE_TRIES_MAX; attempt++) {
      const read = await this.#read(showId);
      if (!read.ok) return read;
      const decided = decide(read.value.view, read.value.products);
      if (!decided.ok) return decided;
      const { view, put, remove, events } = decided.value;
      if (events.length === 0) return ok(read.value.view);
      const reply = await this.#session.run(
        'show_apply',
        showId,
        {
          ver: read.value.ver,
          ...(view ? { view: true, state: view.state } : {}),
          ...(put ? { put: put.id } : {}),
          ...(remove ? { remove } : {}),
          events: events.map(([type]) => type),
        },
        view ? pack(recordOf(view)) : NOTHING,
        put ? pack(put) : NOTHING,
        ...events.map(([, data]) => pack(data)),
      );
      if (!reply.ok) return reply;
      const outcome = textOf(reply.value[0]);
      if (isErrorCode(outcome)) return fail(outcome);
      if (outcome !== 'stale') return ok(view ?? read.value.view);
    }
    return fail('overloaded', 'Too many changes of this show at once; try again.', { retryAfterMs: 200 });
  }
}

function recordOf(view: ShowView): ShowRecord {
  const { state: _state, createdAt: _createdAt, ...record } = view;
  return record;
}
