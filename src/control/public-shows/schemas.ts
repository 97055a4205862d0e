import { Type } from 'typebox';
import type { PublicSale, PublicShow } from '../../domain/public-shows.ts';
import { LIMITS } from '../../limits.ts';
import { Count, Id, MomentOrNull, Title } from '../http/fields.ts';

const oneOf = <T extends string>(...values: T[]) => Type.Unsafe<T>({ type: 'string', enum: values });

const Sale = Type.Object({
  id: Id,
  title: Title,
  state: oneOf<PublicSale['state']>('open', 'paused', 'scheduled'),
  opensAt: MomentOrNull,
  closesAt: MomentOrNull,
});

export const PublicShowList = Type.Object({
  shows: Type.Array(
    Type.Object({
      id: Id,
      title: Title,
      state: oneOf<PublicShow['state']>('planned', 'live'),
      startsAt: MomentOrNull,
      posterUrl: Type.Optional(Type.String()),
      viewers: Count,
      sales: Type.Array(Sale, {
        maxItems: LIMITS.publicSalesPerShowMax,
        description: 'Open ones first, then the next to open',
      }),
    }),
    { maxItems: LIMITS.publicShowsMax, description: 'Live ones first, then the next to start' },
  ),
});

export const NotModified = Type.Null({ description: 'The list is the one of If-None-Match' });
