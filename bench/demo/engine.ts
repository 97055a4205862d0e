/**
 * The engine as the demo runs it: a process of its own on real ports, with the embedded Redis, that
 * never outlives the demo.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { builtProgram } from '../launch/program.ts';

export interface EngineOptions {
  readonly host: string;
  readonly gatewayPort: number;
  readonly controlPort: number;
  readonly dataDir: string;
  readonly showLogs: boolean;
}

export interface RunningEngine {
  readonly gatewayUrl: string;
  readonly controlUrl: string;
  readonly apiKey: string;
  readonly pid: number;
  /** Resolves when the process has ended, however it ended. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** What a person must mend before the demo can run: said without a stack. */
export class EngineTrouble extends Error {}

const START_MS_MAX = 40_000;
/** Longer than the engine's own drain. */
const STOP_MS_MAX = 20_000;
const LOG_LINES_KEPT = 30;

export async function startEngine(options: EngineOptions): Promise<RunningEngine> {
  const gatewayPort = await claimPort(options.host, options.gatewayPort, '--gateway-port');
  const controlPort = await claimPort(options.host, options.controlPort, '--control-port');
  const log: string[] = [];
  const child = launch({ ...options, gatewayPort, controlPort }, log);
  const ended = new Promise<string>((done) => {
    child.once('exit', (code, signal) => done(signal === null ? `code ${code}` : `signal ${signal}`));
  });
  const reachable = options.host === '0.0.0.0' || options.host === '::' ? '127.0.0.1' : options.host;
  const controlUrl = `http://${reachable}:${controlPort}`;
  const stop = (): Promise<void> => stopChild(child, ended);
  try {
    await ready(controlUrl, ended, log);
    return {
      gatewayUrl: `ws://${reachable}:${gatewayPort}`,
      controlUrl,
      apiKey: readApiKey(options.dataDir),
      pid: child.pid ?? 0,
      ended,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function launch(options: EngineOptions, log: string[]): ChildProcess {
  const built = builtProgram();
  if (built === null) throw new EngineTrouble('The engine is not built: run "npm run build" first.');
  const child = fork(built, ['serve'], {
    // A group of its own: Ctrl-C in the terminal reaches the demo, which ends the engine after the
    // audience has left.
    detached: true,
    execArgv: ['--max-semi-space-size=64', '--import', new URL('../launch/exit-with-parent.mjs', import.meta.url).href],
    stdio: ['ignore', options.showLogs ? 'inherit' : 'pipe', options.showLogs ? 'inherit' : 'pipe', 'ipc'],
    env: {
      ...plainEnvironment(),
      HOST: options.host,
      GATEWAY_PORT: String(options.gatewayPort),
      CONTROL_PORT: String(options.controlPort),
      DATA_DIR: options.dataDir,
      DEMO_TOKENS: 'true',
      LOG_LEVEL: options.showLogs ? 'info' : 'warn',
    },
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      log.push(...text.split('\n').filter((line) => line.trim() !== ''));
      log.splice(0, log.length - LOG_LINES_KEPT);
    });
  }
  return child;
}

/**
 * Settings of the surroundings would make another engine of it (an outside Redis, other roles): the
 * demo says all it wants.
 */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'NODE_ENV', 'LD_LIBRARY_PATH'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

async function claimPort(host: string, port: number, flag: string): Promise<number> {
  const probe = createServer();
  return new Promise((done, failed) => {
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code ?? error.message})`;
      failed(new EngineTrouble(`Port ${port} ${why}. Stop that program or choose another port with ${flag}.`));
    });
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      const claimed = typeof address === 'object' && address !== null ? address.port : port;
      probe.close(() => done(claimed));
    });
  });
}

async function ready(controlUrl: string, ended: Promise<string>, log: readonly string[]): Promise<void> {
  let end: string | null = null;
  void ended.then((how) => {
    end = how;
  });
  const until = performance.now() + START_MS_MAX;
  while (performance.now() < until) {
    if (end !== null)
      throw new EngineTrouble(
        `The engine ended at start with ${String(end)}:\n${log.map((line) => `  ${line}`).join('\n')}`,
      );
    const answer = await fetch(`${controlUrl}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
    if (answer?.ok === true) return;
    await sleep(100);
  }
  throw new EngineTrouble(
    `The engine was not ready within ${START_MS_MAX / 1000} s:\n${log.map((line) => `  ${line}`).join('\n')}`,
  );
}

function readApiKey(dataDir: string): string {
  const file = join(dataDir, 'secrets.json');
  const secrets = JSON.parse(readFileSync(file, 'utf8')) as { apiKeys?: Record<string, string> };
  const key = Object.values(secrets.apiKeys ?? {})[0];
  if (key === undefined) throw new EngineTrouble(`${file} holds no API key.`);
  return key;
}

async function stopChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const inTime = await Promise.race([ended.then(() => true), sleep(STOP_MS_MAX, false, { ref: false })]);
  if (inTime) return;
  child.kill('SIGKILL');
  await ended;
}
