/** Shows in all states that the viewer page has a design for: for pictures and checks of pages. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pictureOf } from '../../bench/demo/shop-site.ts';
import type { Engine as LiveEngine } from './visitors.ts';

/** `siteUrl`: where the pictures and the clip of the demo are. */
type Engine = LiveEngine & { readonly siteUrl?: string };

export interface State {
  readonly name: string;
  /** Another page than that of the show. */
  readonly path?: string;
  /** What the address has after the show, such as `&embed=1`. */
  readonly query?: string;
  /** Names of the controls to press, one after the other. */
  readonly press?: readonly (string | RegExp)[];
  /** Makes the show and returns its id. */
  readonly make: (engine: Engine) => Promise<string>;
  readonly asGuest?: boolean;
  /** The sign-in ends after the controls were pressed. */
  readonly ttlSeconds?: number;
  /** How long it takes to see it. */
  readonly settleMs?: number;
  /** The address of a page of a shop that has ours in a frame. */
  readonly framedBy?: (engine: Engine) => string;
}

/** A page of a shop: the stream of another provider, and ours beside or below it. */
export const shopPage = (url: string): string => `<!doctype html><meta name="viewport" content="width=device-width">
<style>body { margin: 0; font: 16px/1.5 Georgia, serif; color: #222; background: #fff } header { padding: 16px 24px }
main { display: grid; grid-template-columns: minmax(0, 1fr) 400px; gap: 24px }
main { padding: 0 24px; align-items: start }
iframe { width: 100%; height: 620px; border: 1px solid #ccc; border-radius: 8px }
.stream { aspect-ratio: 16 / 9; background: #333 }
@media (max-width: 900px) { main { grid-template-columns: minmax(0, 1fr) } }
</style>
<header>A shop of somewhere else</header>
<main><div class="stream"></div><iframe src="${url}" title="Live show"></iframe></main>`;

const LONG = 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft';
const BRANDS = ['Nordlys', 'Ateliê Sol', 'Kumo 雲'].map((name, index) => ({ id: `b${index}`, name }));
const TITLES = ['Fjell Parka', 'Vidda Fleece', 'Praia Linen Shirt', 'Duna Sandal', 'Cloud Runner', 'Kumo Hoodie'];
const PICTURES = ['fjell-parka', 'vidda-fleece', 'praia-shirt', 'duna-sandal', 'kumo-runner', 'kumo-hoodie'];
const SAID: ReadonlyArray<readonly [name: string, text: string]> = [
  ['Mia', 'Hello from Hamburg 👋'],
  ['Jonas K.', 'Is the parka warm enough for January?'],
  ['아라', '이 색 정말 예뻐요'],
  ['Léa', 'Le M taille grand ou petit ?'],
  ['مريم', 'كم سعر المعطف؟'],
  ['Sam', '❤️❤️❤️'],
  ['Noor', 'I have the fleece from last season, it is lovely and still looks like new after two winters'],
];

interface Plan {
  readonly id: string;
  readonly title?: string;
  readonly products?: number;
  readonly productTitle?: (index: number) => string;
  readonly brands?: ReadonlyArray<{ id: string; name: string }>;
  readonly skus?: readonly string[];
  readonly sales?: ReadonlyArray<{
    readonly title: string;
    /** Indexes of products. */
    readonly of: readonly number[];
    readonly opensInMs?: number;
    readonly durationMs?: number;
    readonly price?: number;
    readonly currency?: string;
    readonly quantity?: number;
  }>;
  readonly said?: ReadonlyArray<readonly [string, string]>;
  readonly announcement?: string;
  readonly more?: Record<string, unknown>;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

async function make(engine: Engine, plan: Plan): Promise<string> {
  const { office, siteUrl } = engine;
  const { id, title = 'Winter evening at the harbor', brands = BRANDS, skus = ['S', 'M', 'L'] } = plan;
  await office.createShow({ id, title, guests: true, brands: [...brands], ...plan.more });
  for (const index of range(0, plan.products ?? 0))
    await office.putProduct(id, {
      id: `p${index}`,
      // Two products in a row are of one brand.
      brand: brands[Math.floor((index % 6) / 2) % brands.length]?.id ?? '',
      ...(siteUrl === undefined ? {} : { imageUrl: pictureOf(siteUrl, PICTURES[index % 6] ?? '') }),
      title: plan.productTitle?.(index) ?? `${TITLES[index % TITLES.length]}${index < 6 ? '' : ` ${index}`}`,
      skus: skus.map((size, at) => ({ sku: `P${index}-${at}`, title: size })),
    });
  await office.startShow(id);
  for (const [index, sale] of (plan.sales ?? []).entries()) {
    const { of, price = 6400, quantity = 40, currency = 'EUR', opensInMs = 0, durationMs = 600_000 } = sale;
    const items = of.flatMap((product) =>
      skus.map((_, at) => ({
        sku: `P${product}-${at}`,
        product: `p${product}`,
        price: price + product * 100,
        quantity,
      })),
    );
    const spec = { id: `s${index}`, title: sale.title, currency, perBuyer: 2, holdMs: 120_000, opensInMs, durationMs };
    await office.createSale(id, { ...spec, skus: items }, `${id}-${index}`);
  }
  if (plan.announcement !== undefined) await office.announce(id, plan.announcement);
  for (const [name, text] of plan.said ?? SAID) {
    const client = await engine.join(name, {
      show: id,
      token: await office.mintToken(id, name, name, name === 'Sam' ? 'host' : 'buyer'),
    });
    await client.chat(text);
    client.close();
  }
  return id;
}

const OPEN = { title: 'Midnight drop −40%', of: [0, 1, 2] };
const THREE = [
  OPEN,
  { title: 'Last sizes', of: [3, 4], durationMs: 95_000, quantity: 12 },
  { title: 'Blue hour', of: [5], opensInMs: 240_000 },
];

const mediaOf = ({ siteUrl }: Engine) =>
  siteUrl === undefined ? {} : { videoUrl: `${siteUrl}/media/stage.mp4`, posterUrl: `${siteUrl}/media/poster.jpg` };

/** A show with what most shows have, then each special state. */
export const STATES: readonly State[] = [
  {
    name: 'sale',
    make: (engine) =>
      make(engine, {
        ...{ id: 'sale', products: 19, sales: THREE, more: { visibility: 'public' } },
        announcement: 'Get ready: two per person, and what you hold is yours for two minutes. Free shipping tonight ⏳',
      }),
  },
  { name: 'shop', make: async () => 'sale', press: [/^Shop/] },
  {
    name: 'filmed',
    make: (engine) =>
      make(engine, {
        ...{ id: 'filmed', products: 6, sales: THREE, title: 'Stampede Evening Market' },
        more: { ...mediaOf(engine), checkoutUrl: 'https://shop.example/pay?hold={reservation}' },
      }),
  },
  {
    name: 'tall',
    make: (engine) =>
      make(engine, { id: 'tall', products: 6, sales: THREE, more: { videoUrl: `${engine.siteUrl}/media/tall.mp4` } }),
  },
  {
    name: 'paying',
    press: [/^Buy: Duna Sandal/],
    make: (engine) =>
      make(engine, {
        ...{ id: 'paying', products: 6, sales: [OPEN, { ...THREE[1]!, title: OPEN.title }] },
        more: { checkoutUrl: 'https://shop.example/pay?hold={reservation}' },
      }),
  },
  { name: 'list', path: '', make: (engine) => publicShows(engine) },
  { name: 'hold', make: async () => 'sale', press: [/^Buy: Duna Sandal/] },
  { name: 'orders', make: async () => 'sale', press: [/^Buy: Duna Sandal/, 'Your holds and orders'] },
  { name: 'embedded', make: async () => 'sale', query: '&embed=1' },
  {
    name: 'planned',
    make: (engine) =>
      make(engine, { id: 'planned', products: 6, sales: [{ ...OPEN, opensInMs: 42_000 }], said: SAID.slice(0, 2) }),
  },
  { name: 'empty', make: (engine) => make(engine, { id: 'empty', said: [] }) },
  { name: 'one', make: (engine) => make(engine, { id: 'one', products: 1, skus: ['One size'], said: [] }) },
  { name: 'sold-out', make: (engine) => soldOut(engine), press: [/^Join the waitlist/] },
  {
    name: 'many',
    make: (engine) => make(engine, { id: 'many', products: 200, sales: [{ ...OPEN, of: range(0, 60) }] }),
    press: [/^Shop/],
  },
  {
    name: 'long',
    make: (engine) =>
      make(engine, {
        ...{ id: 'long', products: 6, sales: [{ ...OPEN, title: LONG, price: 123_456_789 }], title: LONG },
        ...{ productTitle: (index) => `${LONG} ${index}`, skus: ['Extra extra large', LONG.slice(0, 40)] },
        ...{
          brands: [{ id: 'b0', name: LONG.slice(0, 64) }],
          announcement: `${LONG} ${LONG}`,
          said: [[LONG.slice(0, 60), LONG]],
        },
      }),
  },
  {
    name: 'arabic',
    query: '&lang=ar',
    make: (engine) =>
      make(engine, {
        ...{ id: 'arabic', products: 6, title: 'أمسية الشتاء في الميناء', announcement: 'استعدوا: قطعتان لكل شخص' },
        ...{ productTitle: (index) => ['معطف الشتاء', 'حذاء الجري', 'قميص الكتان'][index % 3] ?? '' },
        ...{
          sales: [
            { ...OPEN, title: 'عرض منتصف الليل', currency: 'SAR' },
            { ...THREE[1]!, title: 'آخر المقاسات' },
          ],
        },
      }),
  },
  {
    name: 'yen',
    make: (engine) =>
      make(engine, {
        ...{ id: 'yen', products: 4, skus: ['One size'], productTitle: (index) => `雲のスニーカー ${index}` },
        sales: [
          { ...OPEN, of: [0, 1], price: 4_900, currency: 'JPY', quantity: 9 },
          { title: 'Gifts', of: [2], price: -200 },
          { title: 'Rare finds', of: [3], price: 1_234_567, currency: 'JPY', quantity: 3 },
        ],
      }),
  },
  {
    name: 'framed',
    make: async () => 'sale',
    query: '&embed=1',
    framedBy: ({ siteUrl }) => `${siteUrl}/media/poster.jpg`,
  },
  {
    name: 'paused',
    press: [/^Buying is paused/],
    make: async (engine) => {
      const id = await make(engine, { id: 'paused', products: 6, sales: [OPEN, THREE[2]!] });
      await engine.office.pauseSale(id, 's0');
      return id;
    },
  },
  { name: 'variants', press: ['XL Sold out'], make: (engine) => variants(engine) },
  { name: 'releasing', make: async () => 'paying', press: [/^Buy: Duna Sandal/, /^Release/] },
  { name: 'expired', make: async () => 'paying', press: [/^Buy: Duna Sandal/], ttlSeconds: 10 },
  {
    name: 'silent',
    settleMs: 9_000,
    make: async (engine) =>
      make(engine, { id: 'silent', products: 6, sales: THREE, more: { videoUrl: `${await silentSite()}/live.mp4` } }),
  },
  { name: 'watching', asGuest: true, make: async () => 'sale', press: [/^Only watch/] },
  { name: 'guest', asGuest: true, make: async () => 'sale' },
  { name: 'ended', make: (engine) => ended(engine) },
  { name: 'unknown', make: async () => 'nowhere' },
];

/** A live show is public already. */
async function publicShows(engine: Engine): Promise<string> {
  const startsAt = Date.now() + 42 * 60_000;
  const later = { ...mediaOf(engine), visibility: 'public', guests: true } as const;
  await engine.office.createShow({ id: 'later', title: 'Spring preview: linen and light', startsAt, ...later });
  const next = { startsAt: startsAt + 3 * 86_400_000, visibility: 'public' } as const;
  await engine.office.createShow({ id: 'next', title: `Sneaker Sunday with ${LONG}`, ...next });
  return make(engine, {
    ...{ id: 'listed', products: 6, sales: THREE, title: 'Stampede Evening Market' },
    more: { ...mediaOf(engine), visibility: 'public' },
  });
}

async function soldOut(engine: Engine): Promise<string> {
  const id = await make(engine, {
    ...{ id: 'sold-out', products: 3, skus: ['One size'], sales: [{ ...OPEN, quantity: 1 }] },
  });
  for (const index of [0, 1, 2]) {
    const token = await engine.office.mintToken(id, `first${index}`, 'Ida', 'buyer');
    const client = await engine.join('first', { show: id, token });
    await client.reserve({ sale: 's0', lines: [{ sku: `P${index}-0`, qty: 1 }] });
    client.close();
  }
  return id;
}

/** Many, a few, one and none left. */
async function variants(engine: Engine): Promise<string> {
  const skus = ['S', 'M', 'L', 'XL', 'Extra long'];
  const id = await make(engine, { id: 'variants', products: 2, skus });
  const items = [0, 1].flatMap((product) =>
    [40, 3, 1, 1, 12].map((quantity, at) => ({
      ...{ sku: `P${product}-${at}`, product: `p${product}`, price: 6400, quantity },
    })),
  );
  const spec = { id: 's0', title: OPEN.title, currency: 'EUR', perBuyer: 2, holdMs: 600_000, skus: items };
  await engine.office.createSale(id, { ...spec, opensInMs: 0, durationMs: 900_000 }, 'variants');
  const client = await engine.join('ida', {
    show: id,
    token: await engine.office.mintToken(id, 'ida', 'Ida', 'buyer'),
  });
  for (const product of [0, 1]) await client.reserve({ sale: 's0', lines: [{ sku: `P${product}-3`, qty: 1 }] });
  client.close();
  return id;
}

/** A server that never responds. */
async function silentSite(): Promise<string> {
  const server = createServer(() => {}).unref();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ended(engine: Engine): Promise<string> {
  const id = await make(engine, { id: 'ended', products: 4, sales: [OPEN] });
  await engine.office.endShow(id);
  return id;
}
