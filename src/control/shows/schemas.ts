import { type TSchema, Type } from 'typebox';
import type { ArchiveFiles, Archives } from '../../domain/archive.ts';
import type { ListedShow as Listed } from '../../domain/show.ts';
import type { LeftOut } from '../../domain/show-plan.ts';
import { WEB_ADDRESS_RULE } from '../../domain/web-address.ts';
import { LIMITS } from '../../limits.ts';
import { CHECKOUT_PLACEHOLDERS } from '../../protocol/checkout.ts';
import type { ShowState, ShowView, ShowVisibility } from '../../protocol/messages.ts';
import { ArchiveSummary } from '../archive/schemas.ts';
import {
  ArchiveAt,
  Count,
  Id,
  Moment,
  MomentInBody,
  MomentOrNull,
  MomentOrNullInBody,
  Name,
  Patterned,
  StrictObject,
  Title,
} from '../http/fields.ts';
import { unwrap } from '../http/routing.ts';
import { ListedProduct } from '../products/schemas.ts';
import { NewSale } from '../sales/schemas.ts';

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
  retentionMs: Type.Integer({
    minimum: 0,
    maximum: LIMITS.retentionMaxMs,
    description:
      'The show is archived this many milliseconds after its end, at least 1000. 0: as soon as it has ended and has ' +
      'no open hold. Default: RETENTION',
  }),
};
const Visibility = Type.Unsafe<ShowVisibility>({
  type: 'string',
  enum: ['public', 'unlisted'] satisfies ShowVisibility[],
  description: '`public`: GET /v1/public/shows lists it for anyone. `unlisted` (default): it does not',
});
const address = (description: string, examples: string[]) =>
  Type.String({ maxLength: LIMITS.urlCharsMax, description, examples });
const addresses = {
  videoUrl: address(`An MP4 file or an HLS playlist (${WEB_ADDRESS_RULE})`, ['https://cdn.example/live.m3u8']),
  posterUrl: address(`Image before the video plays (${WEB_ADDRESS_RULE})`, ['https://cdn.example/gala.jpg']),
  checkoutUrl: address(
    `Where a buyer pays for a hold: an address (${WEB_ADDRESS_RULE}) with {reservation} and any of ` +
      `${CHECKOUT_PLACEHOLDERS.filter((name) => name !== 'reservation')
        .map((name) => `{${name}}`)
        .join(', ')}. ` +
      'The amount is in minor units and for display: confirm checks the amount that was charged.',
    ['https://shop.example/pay?hold={reservation}'],
  ),
};
const optionalAddresses = {
  videoUrl: Type.Optional(addresses.videoUrl),
  posterUrl: Type.Optional(addresses.posterUrl),
  checkoutUrl: Type.Optional(addresses.checkoutUrl),
};
const orNull = <T extends TSchema>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()], { description: 'null: none' }));

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
    retentionMs: Type.Optional(settings.retentionMs),
    visibility: Visibility,
    ...optionalAddresses,
    brands: Type.Array(Type.Object({ id: Id, name: Name })),
    pinned: Type.Union([Id, Type.Null()], { description: 'The product that is presented now' }),
    createdAt: Moment,
    archiveAt: ArchiveAt,
  },
  { $id: 'Show' },
);
type WithArchiveAt<T> = T & { archiveAt: number | null };
export const Show = Type.Unsafe<WithArchiveAt<ShowView>>({ $ref: 'Show#' });
/** Adds when the show is archived. */
export const withArchiveAt = async <T extends Listed | ShowView>(
  archives: Pick<Archives, 'archiveAt'>,
  show: T,
): Promise<WithArchiveAt<T>> => ({ ...show, archiveAt: unwrap(await archives.archiveAt(show)) });
const ListedShow = Type.Unsafe<WithArchiveAt<Listed>>({
  ...ShowSchema,
  $id: undefined,
  properties: {
    ...ShowSchema.properties,
    state: { type: 'string', enum: ['planned', 'live', 'ended', 'archived'] satisfies Listed['state'][] },
    archive: Type.Optional(ArchiveSummary),
  },
});
const BytesOrNull = Type.Union([Count, Type.Null()], { description: 'null: Redis does not allow MEMORY USAGE' });
export const ShowSizeSchema = Type.Object({
  redisBytes: BytesOrNull,
  keys: Count,
  expiring: Type.Optional(
    Type.Object(
      { redisBytes: BytesOrNull, keys: Count, at: Moment },
      { description: 'The part of an archived show that leaves Redis, at this time at the latest' },
    ),
  ),
  archiveBytes: Type.Union([Count, Type.Null()], {
    description: 'Size of the files of an archived show; null: see `archiveFiles`',
  }),
  archiveFiles: Type.Unsafe<ArchiveFiles['archiveFiles']>({
    type: 'string',
    enum: ['none', 'found', 'missing'],
    description: 'none: the show is not archived. missing: it is, and ARCHIVE_DIR of this process has no files of it',
  }),
});
export const ShowListQuery = StrictObject({
  limit: Type.Optional(
    Patterned('^([1-9]\\d{0,2}|1000)$', 'a whole number from 1 to 1000', { description: '1 to 1000; default: 1000' }),
  ),
  after: Type.Optional(Type.String({ maxLength: 128, description: '`next` of the page before' })),
});
export const ShowList = Type.Object({
  shows: Type.Array(ListedShow),
  next: Type.Union([Type.String(), Type.Null()]),
});

const optional = {
  startsAt: Type.Optional(MomentOrNullInBody),
  guests: Type.Optional(settings.guests),
  slowModeMs: Type.Optional(settings.slowModeMs),
  chatShownPerSecond: Type.Optional(settings.chatShownPerSecond),
  retentionMs: Type.Optional(settings.retentionMs),
  visibility: Type.Optional(Visibility),
  videoUrl: orNull(addresses.videoUrl),
  posterUrl: orNull(addresses.posterUrl),
  checkoutUrl: orNull(addresses.checkoutUrl),
  brands: Type.Optional(Type.Array(Brand, { maxItems: LIMITS.brandsPerShowMax })),
};
export const NewShow = StrictObject(
  {
    ...{ id: Type.Optional(Id), title: Title, ...optional },
    products: Type.Optional(Type.Array(ListedProduct, { maxItems: LIMITS.productsPerShowMax })),
    sales: Type.Optional(
      Type.Array(NewSale, { maxItems: LIMITS.salesPerShowMax, description: 'Of products in this request' }),
    ),
  },
  {
    examples: [
      {
        ...{ id: 'summer-gala', title: 'Summer gala', startsAt: '2026-11-30T20:00:00+01:00' },
        brands: [{ id: 'acme', name: 'Acme' }],
        products: [{ id: 'tee', brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-RED-M', title: 'Red, M' }] }],
        sales: [
          {
            ...{ id: 'drop', title: 'First drop', currency: 'EUR', durationMs: 600_000 },
            skus: [{ sku: 'TEE-RED-M', product: 'tee', price: 1499, quantity: 30 }],
          },
        ],
      },
    ],
  },
);
export const CloneBody = StrictObject(
  {
    id: Type.Optional(Id),
    title: Type.Optional(Type.String({ ...Title, description: 'Default: that of the show' })),
    startsAt: optional.startsAt,
    visibility: Type.Optional(Type.Unsafe<ShowVisibility>({ ...Visibility, description: 'Default: `unlisted`' })),
    scheduleSales: Type.Optional(
      Type.Boolean({
        description:
          'Plans each sale that had an opening as long before or after `startsAt` as it was in the show. Those that ' +
          'would open in the past stay drafts',
      }),
    ),
  },
  { examples: [{ id: 'winter-gala', startsAt: '2026-12-30T20:00:00+01:00', scheduleSales: true }] },
);
export const Cloned = Type.Object({
  show: Show,
  products: Count,
  sales: Count,
  leftOut: Type.Array(
    Type.Object({
      reason: Type.Unsafe<LeftOut['reason']>({
        type: 'string',
        enum: ['no_brand', 'no_product', 'cancelled', 'unreadable'],
        description:
          '`no_brand`: the show has lost the brand of the product. `no_product`: or the product or SKU of the sale',
      }),
      ...{ product: Type.Optional(Id), sale: Type.Optional(Id), sku: Type.Optional(Type.String()) },
    }),
    { description: 'What could not be copied' },
  ),
});
export const ShowChange = StrictObject(
  { title: Type.Optional(Title), ...optional },
  { description: 'At least one field' },
);

export const AnnouncementBody = StrictObject(
  {
    text: Type.String({ minLength: 1, maxLength: LIMITS.announcementCharsMax }),
    durationMs: Type.Optional(
      Type.Integer({
        minimum: LIMITS.announcementMinMs,
        maximum: LIMITS.announcementMaxMs,
        description: `How long viewers see it. Default: ${LIMITS.announcementDefaultMs / 60_000} minutes`,
      }),
    ),
    until: Type.Optional(
      Type.Unsafe<number>({
        ...MomentInBody,
        description:
          'When viewers stop seeing it, at most 24 hours from now; instead of durationMs. RFC 3339, or milliseconds ' +
          'since the Unix epoch, on the Redis clock',
      }),
    ),
  },
  { examples: [{ text: 'Last call', until: '2026-11-30T20:15:00+01:00' }] },
);
export const AnnouncementParams = Type.Object({
  show: Id,
  announcement: Patterned('^[1-9][0-9]{0,14}$', 'the offset of an announcement', {
    description: '`offset` of the announcement',
  }),
});
export const Announced = Type.Object(
  { offset: Count },
  { description: "Position in the show's event log, which names the announcement" },
);
