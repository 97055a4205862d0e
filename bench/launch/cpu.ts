/** CPU and memory of processes of this machine, and the delay of this event loop. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Returns what `read` returns, or NaN when it throws: not every system has /proc. */
function orNaN(read: () => number): number {
  try {
    return read();
  } catch {
    return Number.NaN;
  }
}

const ticksPerSecond = orNaN(() => Number(execFileSync('getconf', ['CLK_TCK']).toString())) || 100;

/** User and system seconds of a process; NaN without /proc. */
export const cpuSecondsOf = (pid: number): number =>
  orNaN(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  });

/** Resident memory in bytes; NaN without /proc. */
export const memoryBytesOf = (pid: number): number =>
  orNaN(() => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024);

/** CPU seconds of all processes over all cores since boot; NaN without /proc. */
export const machineBusySeconds = (): number =>
  orNaN(() => {
    const [user = Number.NaN, nice = 0, system = 0, , , irq = 0, softirq = 0] =
      readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/\s+/).slice(1).map(Number) ?? [];
    return (user + nice + system + irq + softirq) / ticksPerSecond;
  });

export function watchLoop() {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  return {
    stop() {
      histogram.disable();
      return { p99Ms: histogram.percentile(99) / 1e6, maxMs: histogram.max / 1e6 };
    },
  };
}
