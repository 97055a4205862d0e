#!/usr/bin/env node
/** `stampede bench`, `npm run bench --`: loads an engine, reports and judges the result. */
import { runDiff } from './report/index.ts';
import { EXIT, runJoin, runScenario, scenarioHelp } from './run.ts';
import { FlagError } from './scenarios/flags.ts';
import { SCENARIOS } from './scenarios/index.ts';
import { runTrace } from './traces/command.ts';

const ALL = SCENARIOS.filter(({ inAll }) => inAll === true);

const HELP = `stampede bench <scenario> [flags]        flags of a scenario: <scenario> --help
npm run bench -- <scenario> [flags]      in a clone

${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}
  all              ${ALL.map(({ name }) => name).join(', ')}, one after the other

  diff A.json B.json           what became better or worse, and whether it is more than noise
  diff A1 A2 ... -- B1 B2 ...  the same with several results, or folders of results, per side
  trace --out FILE             writes a synthetic chat recording for --trace; --describe FILE describes one
  join HOST:PORT --key SECRET  generates load for a run on another machine (--listen, --generators, --key)

Exit code: 0 passed, 1 failed, 2 wrong flags, 3 inconclusive (the load generator was the bottleneck
or lost a worker), 130 stopped.
`;

async function main(argv: readonly string[]): Promise<number> {
  const [command = '--help', ...rest] = argv;
  if (command === '--help' || command === '-h' || command === 'help') {
    process.stdout.write(HELP);
    return EXIT.passed;
  }
  if (command === 'trace') return runTrace(rest, process.stdout);
  if (command === 'diff') return runDiff(rest, process.stdout);
  if (command === 'join') return runJoin(rest);
  const chosen = command === 'all' ? ALL : SCENARIOS.filter(({ name }) => name === command);
  if (chosen.length === 0) throw new FlagError(`unknown scenario ${JSON.stringify(command)}; --help lists them`);
  if (rest.includes('--help')) {
    process.stdout.write(chosen.map(scenarioHelp).join('\n'));
    return EXIT.passed;
  }
  let worst: number = EXIT.passed;
  for (const scenario of chosen) {
    const code = await runScenario(scenario, rest);
    if (code === EXIT.stopped || code === EXIT.usage) return code;
    worst = Math.max(worst, code);
  }
  return worst;
}

const code = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof FlagError)) throw error;
  process.stderr.write(`stampede bench: ${error.message}\n`);
  return EXIT.usage;
});
process.exit(code);
