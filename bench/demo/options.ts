/** The flags of the demo, checked before anything starts. */
import { LIMITS } from '../../src/limits.ts';
import {
  count,
  decimal,
  FlagError,
  type FlagValues,
  flagsHelp,
  optionalCount,
  readFlags,
  text,
  toggle,
} from '../scenarios/flags.ts';
import { readTrace, type TraceMessage } from '../traces/trace.ts';

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
  | { readonly kind: 'help'; readonly page: string }
  | { readonly kind: 'wrong'; readonly mistakes: string[] };

const OPENS_IN_SECONDS = 20;
const FLAGS = {
  viewers: count(200, 'simulated viewers', { max: 5_000 }),
  seconds: optionalCount(
    'end after so many seconds with a summary; the exit code is 1 if the books are wrong. Without it the demo runs ' +
      'until Ctrl-C, with a sale about every minute',
    { min: 6, max: 86_400 },
  ),
  opensIn: optionalCount(
    `seconds until the first sale opens (default: ${OPENS_IN_SECONDS}, or a third of --seconds if that is sooner)`,
    { min: 2, max: 3_600 },
  ),
  trace: {
    ...text<string | null>(
      null,
      'replay recorded chat, JSON lines {"at_ms":1200,"user":"maya","text":"hi"}, instead of generated chat',
      'FILE',
    ),
    parse: (file: string) => {
      try {
        readTrace('--trace', file);
        return { value: file };
      } catch (error) {
        if (!(error instanceof FlagError)) throw error;
        return { problem: error.message.replaceAll(/^--trace /gm, '') };
      }
    },
  },
  speed: decimal(1, 'play the recording so many times as fast', { min: 0.01, max: 1_000 }),
  seed: count(1, 'the same seed gives the same users, chat and habits', { min: 0, max: 0xffff_ffff }),
  gatewayPort: count(8_080, 'WebSocket port, 0 = any free port', { min: 0, max: 65_535 }),
  controlPort: count(8_081, 'HTTP port of the viewer page, API and API docs, 0 = any free port', {
    min: 0,
    max: 65_535,
  }),
  host: text('127.0.0.1', 'address to listen on; 0.0.0.0 admits a phone on the same network', 'ADDRESS'),
  dataDir: text<string | null>(
    null,
    'folder of the data and keys of the engine (default: DATA_DIR, else ./data)',
    'FOLDER',
  ),
  showLogs: toggle("show the engine's log"),
};

export function readOptions(argv: readonly string[], defaultDataDir: string): OptionsReading {
  if (argv.includes('--help') || argv.includes('-h')) {
    const about = 'Plays a live flash sale here: the engine, a show of three brands, and viewers over WebSockets.';
    return { kind: 'help', page: flagsHelp('scripts/demo [flags]', about, FLAGS) };
  }
  let given: FlagValues<typeof FLAGS>;
  try {
    given = readFlags(FLAGS, argv);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    return { kind: 'wrong', mistakes: error.message.split('\n') };
  }
  const { seconds, opensIn, gatewayPort, controlPort, speed, trace: file, ...rest } = given;
  const opensInSeconds = opensIn ?? Math.min(OPENS_IN_SECONDS, Math.floor((seconds ?? Infinity) / 3));
  const mistakes: string[] = [];
  if (seconds !== null && opensInSeconds >= seconds)
    mistakes.push(`--opens-in ${opensInSeconds} is not before the end of the run (--seconds ${seconds})`);
  if (gatewayPort === controlPort && gatewayPort !== 0)
    mistakes.push(`--gateway-port and --control-port are both ${gatewayPort}: they must differ`);
  if (mistakes.length > 0) return { kind: 'wrong', mistakes };
  const trace = file === null ? null : { file, messages: readTrace('--trace', file), speed };
  const dataDir = rest.dataDir ?? defaultDataDir;
  return { kind: 'run', options: { ...rest, seconds, opensInSeconds, gatewayPort, controlPort, trace, dataDir } };
}

/** The shortest hold that is allowed, so that some holds expire while you watch. */
export const DEMO_HOLD_MS = LIMITS.holdMinMs;
