import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { ShowState, ShowView } from '../../protocol/messages.ts';
import { Count, Id, Moment, MomentOrNull, Name, Title } from '../http/fields.ts';

const Brand = Type.Object({ id: Id, name: Name }, { additionalProperties: false });
const Brands = Type.Array(Brand, { maxItems: LIMITS.brandsPerShowMax });
const SlowMode = Type.Integer({
  minimum: 0,
  maximum: LIMITS.slowModeMaxMs,
  description: 'Least time between two chat messages of one user in milliseconds; 0 = off',
});
const ShownPerSecond = Type.Integer({
  minimum: 0,
  maximum: LIMITS.chatShownPerSecondMax,
  description:
    'Most chat messages shown to everybody in any second; of more, everything by hosts, moderators and buyers with an order and a fair sample of the rest. 0 = the limit of the engine',
});
const Guests = Type.Boolean({ description: 'May people without a token watch, read only?' });
const ShowStateName = Type.Unsafe<ShowState>({
  type: 'string',
  enum: ['planned', 'live', 'ended'] satisfies ShowState[],
});

export const ShowSchema = Type.Object(
  {
    id: Id,
    title: Title,
    state: ShowStateName,
    startsAt: MomentOrNull,
    guests: Guests,
    slowModeMs: SlowMode,
    chatShownPerSecond: ShownPerSecond,
    brands: Type.Array(Type.Object({ id: Id, name: Name })),
    pinned: Type.Union([Id, Type.Null()], { description: 'Product on stage right now' }),
    createdAt: Moment,
  },
  { $id: 'Show' },
);
export const Show = Type.Unsafe<ShowView>({ $ref: 'Show#' });

export const NewShow = Type.Object(
  {
    id: Type.Optional(Id),
    title: Title,
    startsAt: Type.Optional(MomentOrNull),
    guests: Type.Optional(Guests),
    slowModeMs: Type.Optional(SlowMode),
    chatShownPerSecond: Type.Optional(ShownPerSecond),
    brands: Type.Optional(Brands),
  },
  { additionalProperties: false },
);

export const ShowChange = Type.Object(
  {
    title: Type.Optional(Title),
    startsAt: Type.Optional(MomentOrNull),
    guests: Type.Optional(Guests),
    slowModeMs: Type.Optional(SlowMode),
    chatShownPerSecond: Type.Optional(ShownPerSecond),
    brands: Type.Optional(Brands),
  },
  { additionalProperties: false, description: 'At least one field' },
);

export const ShowList = Type.Object({ shows: Type.Array(Show) });

export const AnnouncementBody = Type.Object(
  { text: Type.String({ minLength: 1, maxLength: LIMITS.announcementCharsMax }) },
  { additionalProperties: false },
);
export const Announced = Type.Object({ offset: Count }, { description: "Position in the show's event log" });
