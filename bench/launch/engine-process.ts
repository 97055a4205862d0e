/** Processes of the engine: started, waited for, stopped, killed, started again. */
import { type ChildProcess, spawn } from 'node:child_process';

const START_MS_MAX = 40_000;
/** Longer than the engine's drain. */
const STOP_MS_MAX = 20_000;
const OUTPUT_CHARS_MAX = 400_000;
const LAST_OUTPUT_MS = 20;
/** The engine drains when this process dies, however it dies. */
const EXIT_WITH_PARENT = new URL('./exit-with-parent.mjs', import.meta.url).href;
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface ProgramOptions {
  readonly name: string;
  /** Arguments of `node`: flags, the program, its arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends with this process, and is not reached by a Ctrl-C of its terminal. */
  readonly followsParent?: boolean;
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The part of the environment that a program needs to run. */
export function plainEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'LD_LIBRARY_PATH'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** One run of a program. Its whole output is kept, up to a bound. */
export class Program {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  readonly output = { stdout: '', stderr: '' };

  constructor({ command, env, followsParent = false, onLine }: ProgramOptions) {
    const { NODE_OPTIONS: _, ...rest } = env;
    const child = spawn(process.execPath, [...(followsParent ? ['--import', EXIT_WITH_PARENT] : []), ...command], {
      env: rest,
      detached: followsParent,
      stdio: ['ignore', 'pipe', 'pipe', ...(followsParent ? (['ipc'] as const) : [])],
    });
    this.child = child;
    running.add(child);
    for (const stream of ['stdout', 'stderr'] as const) {
      let line = '';
      child[stream]?.setEncoding('utf8').on('data', (text: string) => {
        if (this.output[stream].length < OUTPUT_CHARS_MAX) this.output[stream] += text;
        if (onLine === undefined) return;
        const lines = (line + text).split('\n');
        line = lines.pop() ?? '';
        for (const each of lines) onLine(each, stream);
      });
    }
    // Not at `close`: a process that the program left behind may keep its output open.
    this.finished = new Promise((resolve) =>
      child.once('exit', (code, signal) => {
        running.delete(child);
        setTimeout(() => resolve({ code, signal, ...this.output }), LAST_OUTPUT_MS);
      }),
    );
  }

  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  get log(): string {
    return `${this.output.stderr}\n${this.output.stdout}`.trim();
  }
}

export class EngineProcess {
  #options: ProgramOptions;
  #program: Program | null = null;
  #earlierLog = '';

  constructor(options: ProgramOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get program(): Program {
    if (this.#program === null) throw new Error(`${this.name} was not started`);
    return this.#program;
  }

  get pid(): number {
    return this.#program?.child.pid ?? 0;
  }

  get isAlive(): boolean {
    return this.#program?.isAlive === true;
  }

  get log(): string {
    return `${this.#earlierLog}${this.#program?.log ?? ''}`;
  }

  /** What the next start runs. */
  use(command: readonly string[]): void {
    this.#options = { ...this.#options, command };
  }

  /** Starts it, also again after an end. Resolves when it reports that it is ready. */
  async start(): Promise<void> {
    if (this.log !== '') this.#earlierLog = `${this.log}\n`;
    const program = new Program(this.#options);
    this.#program = program;
    const until = Date.now() + START_MS_MAX;
    while (!program.output.stderr.includes(' is ready (')) {
      if (!program.isAlive || Date.now() > until) {
        const { exitCode, signalCode } = program.child;
        program.child.kill('SIGKILL');
        throw new Error(`${this.name} is not ready (${signalCode ?? `exit code ${exitCode}`}):\n${program.log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#program?.child.kill(name);
  }

  /** kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#program?.finished;
  }

  /** Drains it, so that a profile is written. Kills it when that takes too long. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.signal('SIGKILL'), STOP_MS_MAX);
    this.signal('SIGTERM');
    await this.#program?.finished;
    clearTimeout(timer);
  }
}
