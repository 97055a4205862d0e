/** The flags of the demo, checked before anything starts. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { LIMITS } from '../../src/limits.ts';
import { parseTrace, type TraceMessage } from '../traces/trace.ts';

export interface DemoOptions {
  readonly viewers: number;
  /** null = until Ctrl-C. */
  readonly seconds: number | null;
  readonly opensInSeconds: number;
  readonly gatewayPort: number;
  readonly controlPort: number;
  readonly host: string;
  readonly dataDir: string;
  readonly seed: number;
  readonly trace: { readonly file: string; readonly messages: readonly TraceMessage[]; readonly speed: number } | null;
  readonly showLogs: boolean;
}

export type OptionsReading =
  | { readonly kind: 'run'; readonly options: DemoOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly mistakes: string[] };

export const HELP = `Plays a live flash sale on this machine: the engine, a show of three brands, and an audience over real WebSockets.

  --viewers N         simulated people (default 200)
  --seconds N         end after so many seconds with a summary; exit code 1 when anything is wrong with the books
                      (default: go on, with a sale about every minute, until Ctrl-C)
  --opens-in N        seconds until the first sale opens (default 20, or a third of --seconds if that is sooner)
  --trace FILE        replay recorded chat, JSON lines {"at_ms":1200,"user":"maya","text":"hi"}, instead of invented chat
  --speed X           play the recording X times as fast (default 1)
  --seed N            another audience: other people, other chat, other habits (default 1)
  --gateway-port N    WebSocket port (default 8080, 0 = any free one)
  --control-port N    HTTP port: viewer page, API, API docs (default 8081, 0 = any free one)
  --host ADDRESS      listen there (default 127.0.0.1; 0.0.0.0 lets a phone on the same network in)
  --data-dir FOLDER   where the engine keeps its data and keys (default: DATA_DIR, else ./data)
  --show-logs         let the engine's log through
  --help              this page
`;

const FLAGS = {
  viewers: { type: 'string', default: '200' },
  seconds: { type: 'string' },
  'opens-in': { type: 'string' },
  trace: { type: 'string' },
  speed: { type: 'string', default: '1' },
  seed: { type: 'string', default: '1' },
  'gateway-port': { type: 'string', default: '8080' },
  'control-port': { type: 'string', default: '8081' },
  host: { type: 'string', default: '127.0.0.1' },
  'data-dir': { type: 'string' },
  'show-logs': { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const VIEWERS_MAX = 5_000;
const SECONDS_MIN = 6;
const OPENS_IN_SECONDS = 20;

export function readOptions(argv: readonly string[], defaultDataDir: string): OptionsReading {
  let values: ReturnType<typeof parseArgs<{ options: typeof FLAGS }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...argv], options: FLAGS, strict: true, allowPositionals: false }));
  } catch (error) {
    return { kind: 'wrong', mistakes: [error instanceof Error ? error.message : String(error)] };
  }
  if (values.help === true) return { kind: 'help' };

  const mistakes: string[] = [];
  const number = (flag: keyof typeof FLAGS, min: number, max: number, integer = true): number => {
    const raw = values[flag];
    const value = typeof raw === 'string' && raw.trim() !== '' ? Number(raw) : Number.NaN;
    if (!(value >= min && value <= max) || (integer && !Number.isInteger(value))) {
      mistakes.push(
        `--${flag} must be ${integer ? 'a whole number' : 'a number'} from ${min} to ${max}, not ${JSON.stringify(raw)}`,
      );
    }
    return value;
  };
  const viewers = number('viewers', 1, VIEWERS_MAX);
  const seconds = values.seconds === undefined ? null : number('seconds', SECONDS_MIN, 86_400);
  const opensInSeconds =
    values['opens-in'] === undefined
      ? Math.min(OPENS_IN_SECONDS, Math.floor((seconds ?? Infinity) / 3))
      : number('opens-in', 2, 3_600);
  if (seconds !== null && opensInSeconds >= seconds)
    mistakes.push(`--opens-in ${opensInSeconds} is not before the end of the run (--seconds ${seconds})`);
  const speed = number('speed', 0.01, 1_000, false);
  const seed = number('seed', 0, 0xffff_ffff);
  const gatewayPort = number('gateway-port', 0, 65_535);
  const controlPort = number('control-port', 0, 65_535);
  if (gatewayPort === controlPort && gatewayPort !== 0)
    mistakes.push(`--gateway-port and --control-port are both ${gatewayPort}: they must differ`);
  const trace = values.trace === undefined ? null : readTrace(values.trace, speed, mistakes);
  if (mistakes.length > 0) return { kind: 'wrong', mistakes };

  const dataDir = values['data-dir'] ?? defaultDataDir;
  return {
    kind: 'run',
    options: {
      viewers,
      seconds,
      opensInSeconds,
      gatewayPort,
      controlPort,
      host: values.host ?? '127.0.0.1',
      dataDir,
      seed,
      trace,
      showLogs: values['show-logs'] === true,
    },
  };
}

function readTrace(file: string, speed: number, mistakes: string[]): DemoOptions['trace'] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    mistakes.push(`--trace: ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
  const reading = parseTrace(content);
  mistakes.push(...reading.mistakes.map((mistake) => `--trace: ${file}, ${mistake}`));
  if (reading.messages.length === 0 && reading.mistakes.length === 0)
    mistakes.push(`--trace: ${file} holds no messages`);
  return { file, messages: reading.messages, speed };
}

/** The hold of the demo's sales: the shortest allowed, so that holds are seen to lapse. */
export const DEMO_HOLD_MS = LIMITS.holdMinMs;
