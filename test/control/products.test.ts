import t from 'tap';
import { type Json, startControl } from './harness.ts';

t.test('products are saved, listed, pinned and removed', async (t) => {
  const { request, post, redis, keyPrefix } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  const put = (id: string, body: Json) => request(`/v1/shows/gala/products/${id}`, { method: 'PUT', body });
  const remove = () => request('/v1/shows/gala/products/tee', { method: 'DELETE' });
  const skus = [{ sku: 'TEE-M', title: 'M' }, { sku: 'TEE-L' }];
  const prices = { price: 1999, compareAtPrice: 2999, currency: 'EUR' };
  const more = { description: 'Organic.', images: ['https://cdn.example/2.png'], link: 'https://shop.example/tee' };
  const tee = { brand: 'acme', title: 'Tee', imageUrl: 'https://cdn.example/tee.png', ...prices, ...more, skus };
  const saved = await put('tee', tee);
  t.strictSame([saved.status, saved.body], [200, { ...tee, id: 'tee' }]);
  t.strictSame((await request('/v1/shows/gala/products')).body, { products: [{ ...tee, id: 'tee' }] });
  t.equal((await post('/v1/shows/gala/pin', { product: 'tee' })).body.pinned, 'tee');
  t.equal((await post('/v1/shows/gala/pin', { product: null })).body.pinned, null);
  t.equal((await post('/v1/shows/gala/pin', { product: 'hat' })).body.code, 'product_not_found');
  for (const [field, value] of Object.entries({ brand: 'other', imageUrl: 'javascript:alert(1)' })) {
    const refused = await put('hat', { ...tee, [field]: value });
    t.match(refused, { status: 400, body: { code: 'invalid_request', errors: [{ path: `/${field}` }] } });
  }
  await redis.client().hset(`${keyPrefix}{gala}:products`, 'cap', 'junk');
  const listed = (await request('/v1/shows/gala/products')).body;
  t.strictSame(listed, { products: [{ ...tee, id: 'tee' }], unreadable: ['cap'] }, 'one that cannot be read is named');

  const sku = { sku: 'TEE-M', product: 'tee', price: 100, quantity: 1 };
  const sale = (skus: Json[]) => post('/v1/shows/gala/sales', { id: 'drop', title: 'Drop', currency: 'EUR', skus });
  const foreign = { code: 'sku_not_in_product', details: { sku: 'TEE-XL', product: 'tee' } };
  t.match(await sale([sku, { ...sku, sku: 'TEE-XL' }]), { status: 409, body: foreign });
  t.equal((await sale([sku])).status, 201);
  const detail = /^The sale drop sells the product tee and is not over\./;
  const details = { product: 'tee', sale: 'drop', sku: 'TEE-M' };
  const inUse = { status: 409, body: { code: 'product_in_use', detail, details } };
  t.match(await remove(), inUse, 'a draft');
  const other = { brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-XL' }] };
  const ofSku = /^The sale drop sells the SKU TEE-M of the product tee and is not over\./;
  t.match(await put('tee', other), { status: 409, body: { code: 'product_in_use', detail: ofSku, details } });
  const both = { ...other, skus: [{ sku: 'TEE-M' }, { sku: 'TEE-XL' }] };
  t.match(await put('tee', both), { status: 200 }, 'more SKUs');
  t.match(await put('tee', { ...both, skus: [{ sku: 'TEE-M' }] }), { status: 200 }, 'a SKU that no sale sells');
  for (const query of ['?dryRun=true', '']) {
    const imported = await post(`/v1/shows/gala/products/import${query}`, { products: [{ id: 'tee', ...other }] });
    t.match(imported.body, { saved: 0, errors: [{ line: 1, message: ofSku.source.slice(1, 30) }] }, query);
  }
  for (const op of ['open', 'pause', 'end']) {
    t.match(await remove(), inUse, `before ${op}`);
    t.equal((await post(`/v1/shows/gala/sales/drop/${op}`)).status, 200);
  }
  t.match(await remove(), { status: 204, text: '' });
  t.equal((await remove()).body.code, 'product_not_found');
});

const SHOPIFY = `\ufeff${[
  ...['Handle', 'Title', 'Body (HTML)', 'Vendor', 'Option1 Name', 'Option1 Value', 'Variant SKU', 'Variant Price'],
  ...['Variant Compare At Price', 'Image Src'],
].join(';')}
tee;"Tee; organic";"<p>Soft &amp; light.</p>
<p>100 % ""cotton""</p>";ACME;Size;M;TEE-M;19,99;24,99;https://cdn.example/1.jpg
tee;;;;;L;TEE-L;19,99;;https://cdn.example/2.jpg
tee;;;;;;;;;https://cdn.example/3.jpg
cap;Cap;;Other;Title;Default Title;CAP;5,00;;
bag;Bag;;acme;Title;Default Title;;1.299,00;;
hat;Hat;;acme;Title;Default Title;HAT;cheap;;
`;
const GOOGLE = [
  ['id', 'item_group_id', 'title', 'description', 'brand', 'price', 'sale_price', 'size', 'image_link', 'link'],
  [
    'S-1',
    'shoe',
    'Shoe',
    'Runs.',
    'Acme',
    '99.00 EUR',
    '79.00 EUR',
    '42',
    'https://cdn.example/s.jpg',
    'https://x.example/s',
  ],
  ['S-2', 'shoe', 'Shoe', 'Runs.', 'Acme', '99.00 EUR', '', '43', 'https://cdn.example/s.jpg', 'https://x.example/s'],
  ['SOCK', '', 'Sock', '', 'Acme', '1200.00 JPY', '', '', '', ''],
  ['SCARF', '', 'Scarf', '', 'Acme', '4990 HUF', '', '', '', ''],
]
  .map((row) => row.join('\t'))
  .join('\r\n');

t.test('products are imported from the files of Shopify and Google, and from JSON', async (t) => {
  const { request, post } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  const path = '/v1/shows/gala/products/import';
  const csv = (body: string | Buffer, query = '') =>
    request(`${path}${query}`, { method: 'POST', body, headers: { 'content-type': 'text/csv' } });
  const list = async (): Promise<Json[]> => (await request('/v1/shows/gala/products')).body.products;
  const errors = [
    { line: 6, message: 'The show has no brand "Other".' },
    { line: 8, message: /^The price "cheap" / },
  ];
  const expected = { dryRun: true, rows: 6, saved: 2, errorCount: 2, errors };
  t.match(await csv(SHOPIFY, '?dryRun=true&currency=EUR'), { status: 200, body: expected });
  t.same(await list(), [], 'a dry run saves nothing');
  t.match((await csv(SHOPIFY, '?currency=EUR')).body, { ...expected, dryRun: false });
  const tee = {
    ...{ id: 'tee', brand: 'acme', title: 'Tee; organic', description: 'Soft & light.\n100 % "cotton"' },
    ...{ price: 1999, compareAtPrice: 2499, currency: 'EUR', imageUrl: 'https://cdn.example/1.jpg' },
    images: ['https://cdn.example/2.jpg', 'https://cdn.example/3.jpg'],
    skus: [
      { sku: 'TEE-M', title: 'M' },
      { sku: 'TEE-L', title: 'L' },
    ],
  };
  const bag = { id: 'bag', brand: 'acme', title: 'Bag', price: 129_900, currency: 'EUR', skus: [{ sku: 'bag' }] };
  const byId = (id: string, all: Json[]) => all.find((product) => product.id === id);
  t.strictSame(byId('tee', await list()), tee);
  t.strictSame(byId('bag', await list()), bag);

  t.match((await csv(GOOGLE)).body, { rows: 4, saved: 3, errors: [] });
  t.match(byId('shoe', await list()), {
    ...{ price: 7900, compareAtPrice: 9900, imageUrl: 'https://cdn.example/s.jpg', link: 'https://x.example/s' },
    skus: [
      { sku: 'S-1', title: '42' },
      { sku: 'S-2', title: '43' },
    ],
  });
  t.match(byId('sock', await list()), { price: 1200, currency: 'JPY', skus: [{ sku: 'SOCK' }] });
  t.match(byId('scarf', await list()), { price: 499_000, currency: 'HUF' }, 'minor units of ISO 4217');

  const products = [bag, { ...bag, id: 'other', brand: 'none' }, { ...bag, id: 'late', title: '  ' }];
  const listed = await post(path, { products });
  t.match(listed.body, {
    rows: 3,
    saved: 1,
    errors: [
      { line: 2, message: /^other: / },
      { line: 3, message: /^late: / },
    ],
  });
  t.match((await post(`${path}?dryRun=true`, { products })).body, { saved: 1, errorCount: 2 });

  const invalid = { status: 400, body: { code: 'invalid_request' } };
  t.match(await csv('a,b\n"x,y'), invalid, 'a quote that does not end');
  t.match(await csv(Buffer.from([0x54, 0xe9])), invalid, 'not UTF-8');
  t.match(await csv(''), invalid);
  t.match(await csv(GOOGLE, '?currency=euro'), invalid);
  t.match(await post(path, { products: [] }), invalid);
  const elsewhere = { method: 'POST', body: GOOGLE, headers: { 'content-type': 'text/csv' } } as const;
  t.match(await request('/v1/shows', elsewhere), { status: 415, body: { code: 'unsupported_media_type' } });
});

t.test('other requests are served while a file of 40,000 rows is imported', async (t) => {
  t.setTimeout(90_000);
  const { request, post } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  const rows = Array.from({ length: 40_000 }, (_, i) => {
    const product = i % 1_000;
    return `p${product},"Product ""${product}"", new","First line\nsecond line",Acme,Size ${i},SKU-${i},19.99`;
  });
  const body = `Handle,Title,Body (HTML),Vendor,Option1 Value,Variant SKU,Variant Price\n${rows.join('\n')}\n`;
  const headers = { 'content-type': 'text/csv' };
  const imported = request('/v1/shows/gala/products/import?dryRun=true&currency=EUR', {
    method: 'POST',
    body,
    headers,
  });
  let isDone = false;
  void imported.finally(() => {
    isDone = true;
  });
  let served = 0;
  for (; !isDone; served++) t.equal((await request('/v1/shows/gala')).status, 200);
  t.match((await imported).body, { rows: 40_000, saved: 1_000, errorCount: 0 });
  t.ok(served >= 10, `${served} requests were served meanwhile`);
});
