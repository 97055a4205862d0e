import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { ShowState, ShowView } from '../../protocol/messages.ts';
import { Count, Id, Moment, MomentOrNull, Name, StrictObject, Title } from '../http/fields.ts';

const Brand = StrictObject({ id: Id, name: Name });
const settings = {
  guests: Type.Boolean({ description: 'May viewers without a token watch, read only?' }),
  slowModeMs: Type.Integer({
    minimum: 0,
    maximum: LIMITS.slowModeMaxMs,
    description: 'Shortest time between two chat messages of one user in milliseconds; 0 = off',
  }),
  chatShownPerSecond: Type.Integer({
    minimum: 0,
    maximum: LIMITS.chatShownPerSecondMax,
    description:
      'Most chat messages shown to all viewers in any second. Above it, viewers get the messages of hosts, ' +
      'moderators and buyers with an order, and a fair sample of the rest. 0 = the limit of the engine',
  }),
};

export const ShowStateName = Type.Unsafe<ShowState>({
  type: 'string',
  enum: ['planned', 'live', 'ended'] satisfies ShowState[],
});
export const ShowSchema = Type.Object(
  {
    id: Id,
    title: Title,
    state: ShowStateName,
    startsAt: MomentOrNull,
    ...settings,
    brands: Type.Array(Type.Object({ id: Id, name: Name })),
    pinned: Type.Union([Id, Type.Null()], { description: 'The product that is presented now' }),
    createdAt: Moment,
  },
  { $id: 'Show' },
);
export const Show = Type.Unsafe<ShowView>({ $ref: 'Show#' });
export const ShowList = Type.Object({ shows: Type.Array(Show) });

const optional = {
  startsAt: Type.Optional(MomentOrNull),
  guests: Type.Optional(settings.guests),
  slowModeMs: Type.Optional(settings.slowModeMs),
  chatShownPerSecond: Type.Optional(settings.chatShownPerSecond),
  brands: Type.Optional(Type.Array(Brand, { maxItems: LIMITS.brandsPerShowMax })),
};
export const NewShow = StrictObject({ id: Type.Optional(Id), title: Title, ...optional });
export const ShowChange = StrictObject(
  { title: Type.Optional(Title), ...optional },
  { description: 'At least one field' },
);

export const AnnouncementBody = StrictObject({
  text: Type.String({ minLength: 1, maxLength: LIMITS.announcementCharsMax }),
});
export const Announced = Type.Object({ offset: Count }, { description: "Position in the show's event log" });
