/** Each language has one file with the same texts, and numbers, prices and times in its form. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chooseLocale, countdownText, loadLocale, money, t as text, textOrNull } from '../../src/web/shared/i18n.ts';
import { ROOT } from '../support/root.ts';

type Text = string | Record<string, string>;
const folder = join(ROOT, 'src/web/shared/locales');
const read = (file: string): Record<string, Text> => JSON.parse(readFileSync(join(folder, file), 'utf8'));
const files = readdirSync(folder);
const en = read('en.json');
const formsOf = (value: Text | undefined): string[] =>
  typeof value === 'object' ? Object.values(value) : [value ?? ''];
const placeholders = (value: Text | undefined): string[] =>
  [...new Set(formsOf(value).flatMap((form) => form.match(/\{\w+\}/g) ?? []))].sort();

t.test('all languages have the same texts with the same values', async (t) => {
  t.same(files, ['ar.json', 'de.json', 'en.json', 'fr.json']);
  for (const file of files) {
    const texts = read(file);
    t.same(Object.keys(texts), Object.keys(en), file);
    for (const [key, value] of Object.entries(texts)) {
      t.same(placeholders(value), placeholders(en[key]), `${file}: ${key}`);
      if (typeof value === 'object') t.ok(value.other, `${file}: ${key} has a form for other numbers`);
      t.notOk(formsOf(value).includes(''), `${file}: ${key} is not empty`);
    }
  }
});

t.test('each text is used: by its key, or by the last part of its key', (t) => {
  const sources = ['src/web', 'src/protocol', 'src/client']
    .flatMap((root) =>
      readdirSync(join(ROOT, root), { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.tsx?$/.test(file))
        .map((file) => readFileSync(join(ROOT, root, file), 'utf8')),
    )
    .join('\n');
  const isUsed = (key: string): boolean => {
    const dot = key.lastIndexOf('.');
    if (sources.includes(`'${key}'`)) return true;
    const isMadeFromCode = dot > 0 && sources.includes(`\`${key.slice(0, dot)}.\${`);
    return isMadeFromCode && new RegExp(`\\b${key.slice(dot + 1)}\\b`).test(sources);
  };
  const shown = Object.keys(en).filter((key) => key !== 'name' && !key.endsWith('.text'));
  t.same(
    shown.filter((key) => !isUsed(key)),
    [],
  );
  t.end();
});

t.test('the first language of the viewer that has texts is chosen', async (t) => {
  t.equal(chooseLocale(['nl', 'de-AT', 'en']), 'de-AT');
  t.equal(chooseLocale(['constructor', 'xx']), 'en');
  t.equal(chooseLocale(['ar-EG']), 'ar-EG');
});

t.test('countdowns have units and round up, and zero appears at zero', async (t) => {
  await loadLocale('en-GB');
  for (const [ms, shown] of [
    [0, '0.0 s'],
    [1, '0.1 s'],
    [5_500, '5.5 s'],
    [10_000, '10.0 s'],
    [10_001, '0:11'],
    [102_000, '1:42'],
    [3_723_000, '1:02:03'],
    [3 * 86_400_000, '3 days'],
  ] as const)
    t.equal(countdownText(ms), shown);
});

t.test('numbers, prices and plural forms follow the language', async (t) => {
  await loadLocale('de-DE');
  t.equal(countdownText(5_500), '5,5 s');
  t.equal(money(123_456_789, 'EUR').replace(/\s/g, ' '), '1.234.567,89 €');
  t.equal(text('chat.new', { n: 1 }), '1 neue Nachricht');
  await loadLocale('ar');
  t.equal(text('chat.new', { n: 2 }), 'رسالتان جديدتان');
  await loadLocale('en');
  t.equal(money(4_900, 'JPY'), '¥4,900');
  t.equal(money(0, 'EUR'), '€0.00');
  t.equal(text('viewers', { n: 1_234 }), '1,234 viewers');
  t.equal(textOrNull('constructor'), null);
});
