/**
 * Products from a table. Its columns have the names of Shopify's product files or of Google's
 * product feeds; others are ignored. Pure: rows in, products and errors out.
 */
import { LIMITS } from '../limits.ts';
import { minorUnitDigits } from '../protocol/currencies.ts';
import type { Brand, Product, Sku } from '../protocol/messages.ts';
import { cleanText } from '../protocol/text.ts';
import { checkProduct } from './product.ts';
import { isCurrency } from './sale.ts';

/** A row by the names of its columns, as `columnOf` writes them. */
export interface ImportRow {
  readonly line: number;
  readonly cells: Readonly<Record<string, string>>;
}

export interface ImportError {
  /** Of the file, counted from 1. */
  readonly line: number;
  readonly message: string;
}

export interface ImportOptions {
  readonly brands: readonly Brand[];
  /** For rows without one. */
  readonly brand?: string | undefined;
  readonly currency?: string | undefined;
}

export const columnOf = (name: string): string => name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

/** The columns of a field; the first one with a value counts. */
const COLUMNS = {
  product: ['handle', 'itemgroupid', 'productid', 'product', 'id'],
  title: ['title', 'producttitle', 'name'],
  description: ['bodyhtml', 'description', 'body'],
  brand: ['brand', 'vendor'],
  sku: ['variantsku', 'sku', 'id'],
  price: ['variantprice', 'price'],
  salePrice: ['saleprice'],
  before: ['variantcompareatprice', 'compareatprice'],
  currency: ['currency', 'variantcurrency'],
  image: ['imagesrc', 'imagelink', 'imageurl', 'image'],
  moreImages: ['additionalimagelink', 'images'],
  link: ['link', 'url'],
} as const;
/** What distinguishes the variants of a product. */
const OPTIONS = ['option1value', 'option2value', 'option3value', 'color', 'size', 'skutitle'];
const DEFAULT_OPTION = 'Default Title';

/** A mistake in a row. */
class RowMistake extends Error {}

const cellOf = ({ cells }: ImportRow, field: keyof typeof COLUMNS): string =>
  COLUMNS[field].map((column) => cells[column]?.trim() ?? '').find((cell) => cell !== '') ?? '';

const slugOf = (text: string): string =>
  text
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^a-z0-9_]+/g, '-')
    .replaceAll(/^[-_]+|-+$/g, '')
    .slice(0, LIMITS.idCharsMax);

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", nbsp: ' ' };

/** Returns the text of HTML, cut to what a description may have. */
function plainText(html: string): string {
  const text = html
    .replaceAll(/<(?:br|\/p|\/li|\/h\d|\/div)\b[^>]*>/gi, '\n')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => ENTITIES[name] ?? ' ');
  const lines = text.split(/\r?\n/).map((line) => cleanText(line.replaceAll(/\s+/g, ' ')));
  return cut(lines.filter((line) => line !== '').join('\n'), LIMITS.descriptionCharsMax);
}

const cut = (text: string, charsMax: number): string =>
  text
    .slice(0, charsMax)
    .replace(/[\ud800-\udbff]$/, '')
    .trim();

interface Money {
  readonly amount: number;
  readonly currency: string;
}

/** Reads 19.99, 1.299,00, 19,99 EUR or EUR 1299. */
function moneyOf(cell: string, fallback: string | undefined): Money {
  const named = /[A-Za-z]{3}/.exec(cell)?.[0].toUpperCase();
  const currency = named ?? fallback;
  if (currency === undefined || !isCurrency(currency))
    throw new RowMistake(`The price ${JSON.stringify(cell)} has no currency. Add it, or ?currency=EUR to the request.`);
  const digits = minorUnitDigits(currency);
  const [, whole = '', , fraction = ''] =
    /^(\d[\d.,' \u00a0\u202f]*?)(?:([.,])(\d{1,3}))?$/.exec(cell.replace(/[A-Za-z$€£¥]+/g, '').trim()) ?? [];
  // Three digits behind a separator are thousands, unless the currency has as many.
  const isThousands = fraction.length === 3 && digits !== 3;
  const units = whole.replaceAll(/\D/g, '') + (isThousands ? fraction : '');
  // Shops write 1200.00 for yen, too.
  const minor = isThousands || Number(fraction) === 0 ? '' : fraction;
  if (units === '' || minor.length > digits)
    throw new RowMistake(`The price ${JSON.stringify(cell)} is no amount of ${currency}.`);
  return { amount: Number(units + minor.padEnd(digits, '0')), currency };
}

interface Draft {
  readonly line: number;
  readonly product: Product;
  readonly skus: Map<string, Sku>;
  isWrong: boolean;
}

function brandOf(row: ImportRow, { brands, brand: fallback }: ImportOptions): string {
  const name = cellOf(row, 'brand') || fallback || '';
  const [only] = brands;
  if (name === '' && brands.length === 1 && only !== undefined) return only.id;
  const known = brands.find((brand) => brand.id === name || brand.name.toLowerCase() === name.toLowerCase());
  const found = known ?? brands.find((brand) => brand.id === slugOf(name)) ?? brands.find(({ id }) => id === fallback);
  if (found !== undefined) return found.id;
  throw new RowMistake(name === '' ? 'The row has no brand.' : `The show has no brand ${JSON.stringify(name)}.`);
}

function pricesOf(row: ImportRow, currency: string | undefined): Partial<Product> {
  const [price, sale, before] = [cellOf(row, 'price'), cellOf(row, 'salePrice'), cellOf(row, 'before')];
  if (price === '') return {};
  const of = (cell: string): Money => moneyOf(cell, cellOf(row, 'currency').toUpperCase() || currency);
  const usual = of(sale === '' ? price : sale);
  const old = before !== '' ? of(before) : sale === '' ? null : of(price);
  const isReduced = old !== null && old.amount > usual.amount;
  return { price: usual.amount, currency: usual.currency, ...(isReduced ? { compareAtPrice: old.amount } : {}) };
}

function newDraft(row: ImportRow, id: string, options: ImportOptions): Draft {
  const title = cut(cleanText(cellOf(row, 'title')), LIMITS.titleCharsMax);
  if (title === '') throw new RowMistake('The first row of a product needs a title.');
  const [description, link] = [plainText(cellOf(row, 'description')), cellOf(row, 'link')];
  const product: Product = {
    ...{ id, brand: brandOf(row, options), title, ...pricesOf(row, options.currency) },
    ...(description === '' ? {} : { description }),
    ...(link === '' ? {} : { link }),
    skus: [],
  };
  return { line: row.line, product, skus: new Map(), isWrong: false };
}

function addImages({ product }: Draft, row: ImportRow): void {
  const images = [cellOf(row, 'image'), ...cellOf(row, 'moreImages').split(/[\s,|]+/)].filter((image) => image !== '');
  for (const image of images) {
    if (product.imageUrl === undefined) product.imageUrl = image;
    else if (image === product.imageUrl || product.images?.includes(image)) continue;
    else if ((product.images?.length ?? 0) < LIMITS.imagesPerProductMax)
      product.images = [...(product.images ?? []), image];
  }
}

function addSku({ product, skus }: Draft, row: ImportRow, isFirst: boolean): void {
  const options = OPTIONS.map((column) => row.cells[column]?.trim() ?? '');
  const named = options.filter((option) => option !== '' && option !== DEFAULT_OPTION);
  const given = cellOf(row, 'sku');
  // Shopify has rows that add an image only, and variants without a SKU.
  if (!isFirst && given === '' && named.length === 0) return;
  const sku = given || slugOf([product.id, ...named].join('-'));
  if (skus.has(sku)) {
    if (cellOf(row, 'image') !== '' && named.length === 0) return;
    throw new RowMistake(`The SKU ${JSON.stringify(sku)} is listed twice.`);
  }
  const title = cut(cleanText(named.join(' / ')), LIMITS.titleCharsMax);
  skus.set(sku, title === '' ? { sku } : { sku, title });
}

/** Collects rows, in any order, until `finish` returns the products. */
export class ProductImport {
  readonly #drafts = new Map<string, Draft>();
  readonly #options: ImportOptions;
  readonly errors: ImportError[] = [];
  errorCount = 0;
  rows = 0;

  constructor(options: ImportOptions) {
    this.#options = options;
  }

  add(row: ImportRow): void {
    this.rows += 1;
    const id = slugOf(cellOf(row, 'product'));
    const known = this.#drafts.get(id);
    try {
      if (id === '') throw new RowMistake('The row has no product: it needs a handle, an item_group_id or an id.');
      if (known === undefined && this.#drafts.size >= LIMITS.productsPerShowMax)
        throw new RowMistake(`A show has at most ${LIMITS.productsPerShowMax} products.`);
      const draft = known ?? newDraft(row, id, this.#options);
      this.#drafts.set(id, draft);
      addImages(draft, row);
      addSku(draft, row, known === undefined);
    } catch (error) {
      if (!(error instanceof RowMistake)) throw error;
      if (known !== undefined) known.isWrong = true;
      this.fail(row.line, error.message);
    }
  }

  fail(line: number, message: string): void {
    this.errorCount += 1;
    if (this.errors.length < LIMITS.importErrorsListed) this.errors.push({ line, message });
  }

  /** Returns the products without a mistake, each with the line of its first row. */
  finish(): Array<{ readonly line: number; readonly product: Product }> {
    return [...this.#drafts.values()].flatMap(({ line, product, skus, isWrong }) => {
      if (isWrong) return [];
      const whole: Product = { ...product, skus: [...skus.values()] };
      const wrong = checkProduct(whole);
      if (wrong === null) return [{ line, product: whole }];
      this.fail(line, `${product.id}: ${wrong.message}`);
      return [];
    });
  }
}
