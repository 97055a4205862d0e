/**
 * Texts, numbers, prices and times in the language of the viewer. Each language is one file in
 * locales/; only the chosen one is loaded.
 */
import { formatMoney } from '../../client/index.ts';
import en from './locales/en.json' with { type: 'json' };

export type TextKey = keyof typeof en;
type Texts = Readonly<Record<string, string | Readonly<Record<string, string>>>>;
type Values = Readonly<Record<string, string | number>>;

/** One entry per file. */
const LOADERS: Readonly<Record<string, () => Promise<{ default: Texts }>>> = {
  ar: () => import('./locales/ar.json', { with: { type: 'json' } }),
  de: () => import('./locales/de.json', { with: { type: 'json' } }),
  fr: () => import('./locales/fr.json', { with: { type: 'json' } }),
};
const RIGHT_TO_LEFT = new Set(['ar', 'fa', 'he', 'ur']);

let texts: Texts = en;
let locale = 'en';
let plurals = new Intl.PluralRules('en');
let numbers = new Intl.NumberFormat('en');
let twoDigits = new Intl.NumberFormat('en', { minimumIntegerDigits: 2, useGrouping: false });
let tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Returns the first of the wanted locales in whose language there are texts. */
export function chooseLocale(wanted: readonly string[]): string {
  return wanted.find((tag) => languageOf(tag) === 'en' || Object.hasOwn(LOADERS, languageOf(tag))) ?? 'en';
}

const languageOf = (tag: string): string => tag.toLowerCase().split('-')[0] ?? '';

/** Loads a language. A locale without texts leaves everything as it is. */
export async function loadLocale(wanted: string): Promise<void> {
  const language = languageOf(wanted);
  if (language === 'en') texts = en;
  else {
    const load = Object.hasOwn(LOADERS, language) ? LOADERS[language] : undefined;
    if (load === undefined) return;
    texts = (await load()).default;
  }
  locale = wanted;
  plurals = new Intl.PluralRules(locale);
  numbers = new Intl.NumberFormat(locale);
  twoDigits = new Intl.NumberFormat(locale, { minimumIntegerDigits: 2, useGrouping: false });
  tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** Sets the language and the direction of a document to those of the loaded texts. */
export function labelDocument(root: HTMLElement): void {
  root.lang = locale;
  root.dir = RIGHT_TO_LEFT.has(languageOf(locale)) ? 'rtl' : 'ltr';
}

/** Returns the text of a key. `n` chooses the plural form; numbers are formatted. */
export function t(key: TextKey, values: Values = {}): string {
  return fill(texts[key] ?? en[key], values);
}

/** Returns the text of a key that may not exist, such as that of an error code. */
export function textOrNull(key: string, values: Values = {}): string | null {
  const text = Object.hasOwn(texts, key) ? texts[key] : undefined;
  return text === undefined ? null : fill(text, values);
}

function fill(text: string | Readonly<Record<string, string>>, values: Values): string {
  const template = typeof text === 'string' ? text : (text[plurals.select(Number(values.n ?? 0))] ?? text.other ?? '');
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === 'number' ? number(value) : isolated(value ?? '');
  });
}

const RIGHT_TO_LEFT_TEXT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** Keeps the direction of a name to itself, if the sentence around it has the other direction. */
const isolated = (value: string): string =>
  RIGHT_TO_LEFT_TEXT.test(value) !== RIGHT_TO_LEFT.has(languageOf(locale)) && /\p{L}/u.test(value)
    ? `\u2068${value}\u2069`
    : value;

export const number = (value: number): string => numbers.format(value);
export const money = (amount: number, currency: string): string => formatMoney(amount, currency, locale);

const HOUR_S = 3_600;
const DAY_S = 24 * HOUR_S;

/**
 * Returns the rest of a countdown: `2 days`, `1:02:03`, `2:03`, or `9.9 s` in the last ten seconds.
 * Rounds up, so zero appears at zero.
 */
export function countdownText(remainingMs: number): string {
  if (remainingMs <= 10_000) return t('seconds', { n: tenths.format(Math.max(0, Math.ceil(remainingMs / 100) / 10)) });
  const seconds = Math.ceil(remainingMs / 1000);
  if (seconds > 2 * DAY_S) return t('days', { n: Math.floor(seconds / DAY_S) });
  const minutes = Math.floor(seconds / 60);
  const parts = [...(minutes < 60 ? [] : [Math.floor(minutes / 60)]), minutes % 60, seconds % 60];
  return parts.map((part, index) => (index === 0 ? number(part) : twoDigits.format(part))).join(':');
}

/** The same in whole seconds, for times that are no race. */
export const waitText = (remainingMs: number): string => {
  const seconds = Math.ceil(remainingMs / 1000);
  return seconds <= 10 ? t('seconds', { n: seconds }) : countdownText(seconds * 1000);
};

/** Returns a date with the time, in the time zone of the viewer. */
export const dateTime = (at: number): string =>
  new Intl.DateTimeFormat(locale, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: 'numeric',
    minute: '2-digit',
  }).format(at);
