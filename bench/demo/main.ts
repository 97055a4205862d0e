/** `scripts/demo`: the engine, a show, an audience, and an honest summary. See `--help`. */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EngineTrouble, type RunningEngine, startEngine } from './engine.ts';
import { type DemoOptions, readOptions } from './options.ts';
import { judge, StatusLine, statusText, summary } from './report.ts';
import { DemoShow } from './show.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const complain = (text: string): void => void process.stderr.write(`${text}\n`);

/** Aborted by Ctrl-C, SIGTERM, a closed terminal, or the end of the engine. */
const stopping = new AbortController();
let interrupts = 0;

function onSignal(): void {
  interrupts += 1;
  if (interrupts === 2) complain('Stopping already; the engine finishes what is in flight.');
  stopping.abort();
}

function introduce(show: DemoShow, engine: RunningEngine, options: DemoOptions): void {
  say(`
Stampede is live: ${show.id}, ${options.viewers} viewers on their way, first sale in ${options.opensInSeconds} s
  viewer page   ${show.watchUrl}
  API docs      ${engine.controlUrl}/docs
  API key       ${engine.apiKey}
  gateway       ${engine.gatewayUrl}
  data          ${resolve(options.dataDir)}
${options.seconds === null ? 'Ctrl-C ends the show and prints the summary.' : `Ends by itself after ${options.seconds} s.`}
`);
}

async function playShow(options: DemoOptions, engine: RunningEngine): Promise<number> {
  const show = new DemoShow(options, engine);
  await show.start();
  introduce(show, engine, options);
  const status = new StatusLine(process.stdout, () => statusText(show));
  const hosting = show.host(stopping.signal);
  const runMs = options.seconds === null ? 2 ** 31 - 1 : options.seconds * 1000 - (performance.now() - show.startedAt);
  await sleep(Math.max(0, runMs), undefined, { signal: stopping.signal }).catch(() => {});
  stopping.abort();
  await hosting;
  status.stop();
  const outcome = await show.finish();
  const wrong = judge(outcome, show.crowd.tally);
  say(summary(outcome, show.crowd.tally, options, show.crowd.traceSent, wrong));
  return wrong.length === 0 ? 0 : 1;
}

async function run(options: DemoOptions): Promise<number> {
  const engine = await startEngine(options);
  let ourStop = false;
  void engine.ended.then((how) => {
    if (ourStop) return;
    complain(`The engine ended by itself with ${how}.`);
    stopping.abort();
  });
  try {
    return stopping.signal.aborted ? 0 : await playShow(options, engine);
  } finally {
    ourStop = true;
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
    for (const mistake of reading.mistakes) complain(`demo: ${mistake}`);
    complain('See --help.');
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return run(reading.options);
}

try {
  process.exitCode = await main();
} catch (error) {
  complain(
    error instanceof EngineTrouble
      ? `demo: ${error.message}`
      : `demo: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
  process.exitCode = 1;
}
