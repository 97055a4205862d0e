/** The API reference of the SDK: it has all that the package exports, and says what each is for. */
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../support/root.ts';

interface Described {
  readonly name: string;
  readonly doc: string;
}
interface Item extends Described {
  readonly kind: 'value' | 'class' | 'interface' | 'type';
  readonly members: readonly Described[];
}
interface ClientApi {
  clientApiPage(root: string): string;
  readClientApi(root: string): Array<{ readonly name: string; readonly introduction: string; readonly items: Item[] }>;
}
const { clientApiPage, readClientApi } = (await import(join(ROOT, 'scripts/client-api.mjs'))) as ClientApi;

const NEW_WORDS_MIN = 3;
const COMMON = new Set('a an the of is it its this that and or to for with by in on at as be are your you'.split(' '));
const wordsOf = (text: string): string[] =>
  text
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .match(/[a-z]+/g) ?? [];
/** Whether a docstring says more than the name. */
function hasMeaning({ name, doc }: Described): boolean {
  const known = new Set(wordsOf(name));
  return wordsOf(doc).filter((word) => !known.has(word) && !COMMON.has(word)).length >= NEW_WORDS_MIN;
}

const entries = readClientApi(ROOT);

t.test('every public name of the SDK has a docstring that says more than the name', async (t) => {
  t.notOk(hasMeaning({ name: 'saleState', doc: 'The state of a sale.' }));
  const described = entries.flatMap(({ name: entry, items }) =>
    items.flatMap((item) => [
      { where: `${entry} ${item.name}`, ...item },
      ...(item.kind === 'class' ? item.members.map((each) => ({ where: `${item.name}.${each.name}`, ...each })) : []),
    ]),
  );
  t.ok(described.length > 60, `${described.length} names`);
  t.same(
    described.filter((each) => !hasMeaning(each)).map(({ where, doc }) => `${where}: ${doc}`),
    [],
  );
});

t.test('the page has each entry point with its functions, classes and types', async (t) => {
  t.same(
    entries.map(({ name }) => name),
    ['', '/countdown', '/react', '/msgpack', '/deflate'].map((path) => `@stampede/client${path}`),
  );
  const page = clientApiPage(ROOT);
  for (const { name, introduction, items } of entries) {
    t.ok(page.includes(`\n## Entry point ${name}\n`) && introduction !== '', name);
    for (const item of items) t.ok(page.includes(`\n### ${item.name}\n`), item.name);
  }
  t.match(
    page,
    /#### reserve\n\n```ts\nreserve\(request: ReserveRequest\): Promise<Outcome<ReserveResult>>\n```\n\nRes/,
  );
  t.match(page, /\n\| `heldUntil` \| `number` \| The hold expires then\. \|\n/);
  t.match(page, /\nfunction useShow\(options: ClientOptions\): ShowValues\n/);
  t.match(page, /'sold_out' \|/, 'the codes are listed');
  t.notMatch(page, /undefined`|#private|\[object|#options|: any\b/);
});
