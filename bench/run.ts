/** Runs one scenario from its command line to its exit code, and stops everything it started. */
import { execFileSync, type StdioOptions } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { FleetError, type FleetOptions } from './generator/contract.ts';
import { startFleet } from './generator/fleet.ts';
import { runWorker } from './generator/worker.ts';
import { WORKLOADS } from './generator/workloads/index.ts';
import { COMPILED } from './launch/program.ts';
import { createDisplay, renderTable, writeResult } from './report/index.ts';
import { type BenchResult, RESULT_SCHEMA } from './report/result.ts';
import { COMMON_FLAGS, type CommonFlags } from './scenarios/common-flags.ts';
import type { FlagTable, FlagValue } from './scenarios/flags.ts';
import { FlagError, flagsHelp, parametersOf, readFlags, secret, shownCommand } from './scenarios/flags.ts';
import type { ResultHead, Scenario, ScenarioContext } from './scenarios/scenario.ts';
import { openTarget } from './scenarios/target.ts';

export const EXIT = { passed: 0, failed: 1, usage: 2, untrusted: 3, stopped: 130 } as const;

/** Secrets may come from the environment: flags are visible in the process list. */
const SECRETS_BY_ENVIRONMENT = { authSecret: 'BENCH_AUTH_SECRET', apiKey: 'BENCH_API_KEY', key: 'BENCH_KEY' } as const;

export const scenarioHelp = ({ name, about, flags, defaults = {} }: Scenario): string =>
  flagsHelp(`stampede bench ${name} [flags]`, about, { ...flags, ...COMMON_FLAGS }, defaults);

/** Returns the exit code. Throws `FlagError` for wrong flags. */
export async function runScenario(scenario: Scenario, argv: readonly string[]): Promise<number> {
  const table = { ...COMMON_FLAGS, ...scenario.flags };
  const secrets = Object.entries(SECRETS_BY_ENVIRONMENT).map(
    ([key, variable]) => [key, process.env[variable]] as const,
  );
  const fromEnvironment = Object.fromEntries(secrets.filter(([, value]) => value));
  const values = readFlags<FlagTable>(table, argv, { ...scenario.defaults, ...fromEnvironment });
  const common = values as unknown as CommonFlags;
  scenario.check?.(values, common);
  const stop = new AbortController();
  const onSignal = (): void => {
    // A second Ctrl-C exits at once; child processes notice the closed connection.
    if (stop.signal.aborted) process.exit(EXIT.stopped);
    stop.abort(new FleetError('stopped by a signal'));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  const display = createDisplay({ stream: process.stderr });
  const closers: Array<() => Promise<void>> = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  const context: ScenarioContext<FlagTable> = {
    flags: values,
    common,
    head: headOf(scenario, values, shownCommand([scenario.name, ...argv], table), common),
    signal: stop.signal,
    display,
    async openFleet(overrides) {
      const hooks = { signal: stop.signal, onNote: (line: string) => display.line(line) };
      const fleet = await startFleet({ ...fleetOptions(common), ...hooks, ...overrides });
      closers.push(() => fleet.close());
      return fleet;
    },
    async openTarget(needs) {
      const target = await openTarget(common, needs);
      closers.push(() => target.stop());
      return target;
    },
  };
  try {
    const result = await scenario.run(context);
    await closeAll();
    display.done();
    return printResult(result, common, stop.signal.aborted);
  } catch (error) {
    await closeAll().catch(() => {});
    display.done();
    if (error instanceof FlagError) throw error;
    if (stop.signal.aborted) return EXIT.stopped;
    if (!(error instanceof FleetError)) throw error;
    process.stderr.write(`${scenario.name}: ${error.message}\n`);
    return EXIT.untrusted;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal);
  }
}

function printResult(result: BenchResult, { json, out }: CommonFlags, stopped: boolean): number {
  const files = writeResult(result, out);
  if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`${renderTable(result)}\n${files.json}\n${files.html}\n`);
  if (stopped) return EXIT.stopped;
  if ((result.generator?.bottlenecks.length ?? 0) > 0) return EXIT.untrusted;
  return result.verdict.ok ? EXIT.passed : EXIT.failed;
}

function fleetOptions({ processes, generators, listen, key, seed }: CommonFlags): FleetOptions {
  if (generators > 0 && (listen === null || key === null))
    throw new FlagError('--generators needs --listen HOST:PORT and --key, which the other machines use to join');
  const address = listen === null ? {} : { listen: hostAndPort('--listen', listen) };
  return { processes, seed, remote: generators, ...address, ...(key === null ? {} : { key }) };
}

function hostAndPort(what: string, address: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[2]);
  if (match === null || port > 65_535) throw new FlagError(`${what} must be HOST:PORT, got ${JSON.stringify(address)}`);
  return { host: (match[1] as string).replace(/^\[|\]$/g, ''), port };
}

type Values = Readonly<Record<string, FlagValue>>;
const headOf = (scenario: Scenario, values: Values, command: string, { seed }: CommonFlags): ResultHead => ({
  schema: RESULT_SCHEMA,
  scenario: scenario.name,
  startedAt: new Date().toISOString(),
  seed,
  parameters: parametersOf({ ...COMMON_FLAGS, ...scenario.flags }, values as never),
  command,
  commit: commit(),
  version: version(),
  machine: {
    cpus: cpus().length,
    model: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${process.arch}`,
    node: process.version,
  },
});

function commit(): string {
  try {
    const stdio: StdioOptions = ['ignore', 'pipe', 'ignore'];
    const git = (...words: string[]): string => execFileSync('git', words, { stdio, encoding: 'utf8' }).trim();
    const isClean = git('status', '--porcelain', 'src', 'bench') === '';
    return `${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : '+changes'}`;
  } catch {
    return 'unknown';
  }
}

function version(): string {
  const manifest = new URL(COMPILED ? '../../package.json' : '../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

const JOIN_FLAGS = { key: secret('the --key of the coordinator (or BENCH_KEY)') };

/** `join HOST:PORT --key SECRET`: one generator process; run it once per core to lend. */
export async function runJoin([address = '', ...rest]: readonly string[]): Promise<number> {
  const { host, port } = hostAndPort('the argument of join', address);
  const { key } = readFlags(JOIN_FLAGS, rest, process.env.BENCH_KEY ? { key: process.env.BENCH_KEY } : {});
  if (key === null) throw new FlagError('--key (or BENCH_KEY) is needed: the secret of the coordinator');
  try {
    const onNote = (line: string): void => void process.stderr.write(`${line}\n`);
    await runWorker({ host, port, key, workloads: WORKLOADS, onNote });
    process.stderr.write('the run is over\n');
    return EXIT.passed;
  } catch (error) {
    if (!(error instanceof FleetError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return EXIT.untrusted;
  }
}
