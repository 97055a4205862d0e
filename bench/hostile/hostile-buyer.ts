/** Starts and stops the attack of one hostile buyer, in a process of lower priority. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Attack {
  readonly host: string;
  readonly port: number;
  readonly show: string;
  readonly sale: string;
  readonly sku: string;
  readonly token: string;
  readonly sockets: number;
  readonly framesPerSecond: number;
}

/** Since the process started. */
export interface AttackCounts {
  frames: number;
  upgrades: number;
  bytesReceived: number;
  cpuSeconds: number;
}

const PROGRAM = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? 'attacker.ts' : 'attacker.js', import.meta.url),
);

export function startHostileBuyer(attack: Omit<Attack, 'port'>) {
  const child = fork(PROGRAM, { execArgv: PROGRAM.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [] });
  // A real attacker has another machine; here it must not take the processor from the others.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  return {
    attack: (port: number) => void child.send({ ...attack, port } satisfies Attack),
    /** Closes all its connections. */
    async pause(): Promise<AttackCounts> {
      const counts = once(child, 'message');
      child.send(null as never);
      return (await counts)[0] as AttackCounts;
    },
    stop: () => void child.disconnect(),
  };
}
