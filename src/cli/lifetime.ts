/**
 * How a serving process lives and ends: start, wait for a signal, drain within a bound, exit 0; a
 * second signal ends it at once.
 */
import { LIMITS } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';
import { complain, EXIT } from './command.ts';

export interface Service {
  /** Resolves when it serves, rejects with what to do. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Ends children by force; called before an exit that does not wait. */
  kill(): void;
}

/**
 * Clients get `drainMs` to leave; the rest is for jobs, connections and the last write of the
 * embedded Redis.
 */
export const STOP_MS_MAX = LIMITS.drainMs + 12_000;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };

/** Resolves with the exit code once the service has ended. `asked` resolves with why it should. */
export async function live(service: Service, asked: Promise<string>, logger: Logger): Promise<number> {
  try {
    await service.start();
  } catch (error) {
    logger.debug({ err: error }, 'could not start');
    complain(`stampede: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.failed;
  }
  logger.info({ why: await asked }, 'draining');
  const late = setTimeout(() => {
    complain(`stampede: not drained within ${STOP_MS_MAX / 1000} s, ending now`);
    service.kill();
    process.exit(EXIT.failed);
  }, STOP_MS_MAX);
  await service.stop();
  clearTimeout(late);
  logger.info('stopped');
  return EXIT.ok;
}

/**
 * The first SIGTERM, SIGINT or SIGHUP asks for a drain; the next one ends the process without
 * waiting.
 */
export function askedBySignal(onSecond: () => void): Promise<string> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of Object.keys(SIGNAL_NUMBERS)) {
      process.on(signal, () => {
        if (asked) {
          onSecond();
          process.exit(128 + (SIGNAL_NUMBERS[signal] ?? 0));
        }
        asked = true;
        resolve(signal);
      });
    }
  });
}
