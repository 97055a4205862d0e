/** Runs a service until a signal arrives, then drains it within a bound. */
import { isatty } from 'node:tty';
import { LIMITS } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import { EXIT, exitCodeOf, printError } from './command.ts';

export interface Service {
  /** Resolves when its ports are open. Rejects with what happened and what to do. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Kills children, before an immediate exit. */
  kill(): void;
  /** Resolves with the reason if it cannot go on: it is then drained as at a signal. */
  readonly failed: Promise<string>;
}

/** `drainMs` for the gateway, the rest for jobs, connections and the last write of Redis. */
export const STOP_MS_MAX = LIMITS.drainMs + 12_000;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };

/** Resolves with the exit code when the service has ended. `stopped` resolves with the reason. */
export async function runService(service: Service, stopped: Promise<string>, logger: Logger): Promise<number> {
  const failed = service.failed.then((reason) => ({ reason, code: EXIT.failed }));
  try {
    // A start that waits, for example for an embedded Redis that loads, is stopped as well.
    await Promise.race([service.start(), failed, stopped]);
  } catch (error) {
    logger.debug({ err: error }, 'start failed');
    printError(`stampede: ${error instanceof Error ? error.message : String(error)}`);
    return exitCodeOf(error);
  }
  const { reason, code } = await Promise.race([failed, stopped.then((reason) => ({ reason, code: EXIT.ok }))]);
  if (code === EXIT.failed) printError(`stampede: ${reason}`);
  logger.info({ why: reason }, 'draining');
  const late = setTimeout(() => {
    printError(`stampede: the drain took longer than ${STOP_MS_MAX / 1000} s, exiting now`);
    service.kill();
    process.exit(EXIT.failed);
  }, STOP_MS_MAX);
  await service.stop();
  clearTimeout(late);
  logger.info('stopped');
  return code;
}

/**
 * SIGHUP reports that the terminal was closed. Without a terminal it is ignored: Node.js forgets
 * that `nohup` disabled it, and `nohup` leaves no stream at a terminal.
 */
const hasTerminal = (): boolean => [0, 1, 2].some((fd) => isatty(fd));

/** Resolves at the first SIGTERM, SIGINT or SIGHUP. The second one ends the process immediately. */
export function stoppedBySignal(logger: Logger, onSecond: () => void): Promise<string> {
  const isHangUpIgnored = !hasTerminal();
  return new Promise((resolve) => {
    let isStopping = false;
    for (const signal of Object.keys(SIGNAL_NUMBERS)) {
      if (signal === 'SIGHUP' && isHangUpIgnored) {
        process.on(signal, () => logger.info('SIGHUP ignored: this process has no terminal. SIGTERM drains it'));
        continue;
      }
      process.on(signal, () => {
        if (isStopping) {
          onSecond();
          process.exit(128 + (SIGNAL_NUMBERS[signal] ?? 0));
        }
        isStopping = true;
        resolve(signal);
      });
    }
  });
}
