/** `scripts/demo`: the engine, a show, virtual users, and a summary. See `--help`. */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RunningEngine, StartError, startEngine } from './engine.ts';
import { type DemoOptions, readOptions } from './options.ts';
import { showStatus, statusText, summary, violationsOf } from './report.ts';
import { type ShopSite, startShopSite } from './shop-site.ts';
import { DemoShow } from './show.ts';

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const printError = (text: string): void => void process.stderr.write(`${text}\n`);

/** Aborted by Ctrl-C, SIGTERM, a closed terminal, or the end of the engine. */
const stopping = new AbortController();
let signals = 0;

function onSignal(): void {
  signals += 1;
  if (signals === 2) printError('Stopping already; the engine finishes the open requests.');
  stopping.abort();
}

function introduce(show: DemoShow, engine: RunningEngine, options: DemoOptions): void {
  const { seconds } = options;
  const end = seconds === null ? 'Ctrl-C ends the show and prints the summary.' : `Ends by itself after ${seconds} s.`;
  print(`
Stampede is live: ${show.id}, ${options.viewers} viewers join, first sale in ${options.opensInSeconds} s
  viewer page   ${show.watchUrl}
  API docs      ${engine.controlUrl}/docs
  API key       ${engine.apiKey}
  gateway       ${engine.gatewayUrl}
  data          ${resolve(options.dataDir)}
${end}
`);
}

async function runShow(options: DemoOptions, engine: RunningEngine, site: ShopSite): Promise<number> {
  const show = new DemoShow(options, engine, site);
  await show.start();
  introduce(show, engine, options);
  const endStatus = showStatus(process.stdout, () => statusText(show));
  const hosting = show.host(stopping.signal);
  const runMs = options.seconds === null ? 2 ** 31 - 1 : options.seconds * 1000 - (performance.now() - show.startedAt);
  await sleep(Math.max(0, runMs), undefined, { signal: stopping.signal }).catch(() => {});
  stopping.abort();
  await hosting;
  endStatus();
  const outcome = await show.finish();
  const wrong = violationsOf(outcome, show.users.counters);
  print(summary(outcome, show.users, options, wrong));
  return wrong.length === 0 ? 0 : 1;
}

async function run(options: DemoOptions): Promise<number> {
  const engine = await startEngine(options);
  const site = await startShopSite();
  let isStopping = false;
  void engine.ended.then((how) => {
    if (isStopping) return;
    printError(`The engine ended by itself with ${how}.`);
    stopping.abort();
  });
  try {
    return stopping.signal.aborted ? 0 : await runShow(options, engine, site);
  } finally {
    isStopping = true;
    site.close();
    await engine.stop();
  }
}

async function main(): Promise<number> {
  const reading = readOptions(process.argv.slice(2), process.env.DATA_DIR ?? './data');
  if (reading.kind === 'help') {
    process.stdout.write(reading.page);
    return 0;
  }
  if (reading.kind === 'wrong') {
    for (const mistake of reading.mistakes) printError(`demo: ${mistake}`);
    printError('See --help.');
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return run(reading.options);
}

try {
  process.exitCode = await main();
} catch (error) {
  const text = error instanceof StartError ? error.message : error instanceof Error ? error.stack : String(error);
  printError(`demo: ${text}`);
  process.exitCode = 1;
}
