/** The flags of every scenario. */
import { availableParallelism } from 'node:os';
import { choice, count, duration, type FlagValues, secret, text, toggle } from './flags.ts';

export const WIRE_VARIANTS = ['msgpack', 'deflate', 'json'] as const;
export type WireVariant = (typeof WIRE_VARIANTS)[number];

/** Leaves half of the cores to the engine. */
const processes = Math.max(1, Math.floor(availableParallelism() / 2));

const optional = (about: string, placeholder: string) => text<string | null>(null, about, placeholder);
const level = (what: string) => duration<number | null>(null, `fail when ${what} latency is above this`);

export const COMMON_FLAGS = {
  url: optional('gateway of a running engine, ws://host:port or wss://host:port; starts an engine unless given', 'URL'),
  ca: optional('certificates of the authorities (PEM) to trust at wss:// instead of those of Node.js', 'FILE'),
  control: optional('control API of that engine, http://host:port', 'URL'),
  authSecret: secret('AUTH_SECRET of that engine, to sign tokens (or BENCH_AUTH_SECRET)'),
  apiKey: secret('API key of that engine, to create shows and tokens (or BENCH_API_KEY)'),
  seconds: count(10, 'length of each measured phase', { max: 86_400 }),
  rounds: count(1, 'repetitions; figures are medians, and their spread is the noise', { max: 100 }),
  seed: count(1, 'the same seed offers the same load', { min: 0, max: 2 ** 31 - 1 }),
  processes: count(processes, 'generator processes on this machine', { min: 0, max: 256 }),
  generators: count(0, 'generator processes on other machines to wait for', { min: 0, max: 256 }),
  listen: optional('address where those join', 'HOST:PORT'),
  key: secret('secret that they need to join (or BENCH_KEY)'),
  variant: choice(WIRE_VARIANTS, 'msgpack', 'wire variant of the viewers'),
  append: choice(['off', 'everysec', 'always'], 'everysec', 'append-only mode of the Redis that is started'),
  p50: level('the median'),
  p90: level('the 90th percentile'),
  p99: level('the 99th percentile'),
  p999: level('the 99.9th percentile'),
  p9999: level('the 99.99th percentile'),
  max: level('the largest'),
  out: text('data/bench', 'folder of the JSON and HTML results', 'FOLDER'),
  json: toggle('print the result as JSON'),
  help: toggle('show this help'),
};

export type CommonFlags = FlagValues<typeof COMMON_FLAGS>;
