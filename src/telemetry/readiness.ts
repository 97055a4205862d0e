/**
 * Whether a process can take requests: one report for all ports. A gateway stays ready for a while
 * when Redis does not reply, because its viewers stay connected (SPEC R-7) and no other gateway
 * could serve them better. Every process stays ready while Redis is full, for the same reason. See
 * src/telemetry/README.md.
 */
import { timeText } from '../domain/counted.ts';
import {
  type Durability,
  type Health,
  REDIS_AWAY_STATES,
  type RedisMemory,
  type RedisState,
  troubleText,
} from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import type { ErrorCode } from '../protocol/codes.ts';
import type { WorkerState } from './metrics.ts';

export type WorkerReadiness = Pick<WorkerState, 'worker' | 'state'>;

export interface ReadinessOptions {
  readonly health: Health;
  readonly node: string;
  readonly version?: string;
  readonly isDraining: () => boolean;
  /** Viewers are connected to this process or to its workers. */
  readonly servesViewers: boolean;
  readonly graceMs?: number;
  /** Absent: this process has no workers. */
  readonly workers?: (() => readonly WorkerReadiness[]) | undefined;
}

export interface ReadyReport {
  readonly status: 'ready' | 'degraded' | 'draining' | 'unavailable';
  /** False with the HTTP status 503. */
  readonly ready: boolean;
  readonly draining: boolean;
  readonly node: string;
  readonly version?: string;
  /** Why the process is not ready, or degraded, and what to do. */
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly durability: { readonly mode: Durability; readonly meaning: string };
  readonly redis: {
    readonly state: RedisState | 'ok';
    readonly reason?: string;
    readonly remedy?: string;
    /** These are absent while they are unknown. */
    readonly roundTripMs?: number;
    readonly clockErrorMs?: number;
    readonly runId?: string;
    readonly server?: string;
    readonly scripts?: string;
    readonly publish?: string;
    readonly memory?: MemoryReport;
  };
  readonly workers?: WorkerReadiness[];
}

export interface MemoryReport {
  readonly usedBytes: number;
  /** Absent without a limit. */
  readonly maxBytes?: number;
  /** Absent if it is not known; `forecast` says why. */
  readonly fullInSeconds?: number;
  readonly forecast: string;
}

export interface Readiness {
  /** Sends nothing. */
  report(): ReadyReport;
  /** Also waits for a reply of Redis, within its time-out. */
  probe(): Promise<ReadyReport>;
}

export const READY_RETRY_MS = 1_000;

const MEANING: Readonly<Record<Durability, string>> = {
  memory: 'Redis keeps everything in memory only: when it stops, every show, reservation and order in it is lost.',
  everysec:
    'Redis writes its log to disk about once a second: a crash of its process loses nothing unless its disk is ' +
    'so busy that a write waits, for up to 2 s; a power cut can lose about the last second of requests that have got ' +
    'their response.',
  always:
    'Redis writes its log to disk before it replies: a crash or a power cut loses no request that has got its ' +
    'response; a failover to a replica still can.',
  unknown: 'Redis does not report how it writes to disk: a power cut can lose the last second or more.',
};

function memoryReport(memory: RedisMemory | null): MemoryReport | null {
  if (memory === null) return null;
  const { usedBytes, maxBytes, fullInMs, isMeasured } = memory;
  if (maxBytes === 0) return { usedBytes, forecast: 'Redis has no limit (maxmemory is 0).' };
  if (!isMeasured)
    return { usedBytes, maxBytes, forecast: 'Redis was measured for less than an hour: there is no forecast yet.' };
  if (fullInMs === null)
    return { usedBytes, maxBytes, forecast: 'Redis did not grow in the last week, or since it was measured first.' };
  const forecast = `At the growth of the last week Redis is full in about ${timeText(fullInMs)}.`;
  return { usedBytes, maxBytes, fullInSeconds: Math.round(fullInMs / 1_000), forecast };
}

/** Returns milliseconds with one decimal, never less than given, or null if they are not finite. */
const rounded = (ms: number | null): number | null =>
  ms !== null && Number.isFinite(ms) ? Math.ceil(ms * 10) / 10 : null;

/** Returns the facts that are known. */
function known<T extends object>(facts: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== null)) as never;
}

/** Redis may be back within seconds, and a gateway cannot do better elsewhere. */
const PASSING: ReadonlySet<RedisState> = new Set([...REDIS_AWAY_STATES, 'loading', 'busy', 'cluster_incomplete']);

type Finding = Pick<ReadyReport, 'status'> & Partial<Pick<ReadyReport, 'code' | 'message'>>;

export function createReadiness(options: ReadinessOptions): Readiness {
  const { health, node, version, isDraining, servesViewers, workers, graceMs = LIMITS.readinessGraceMs } = options;
  let troubleSinceMs = performance.now();
  let isAway = health.trouble() !== null;
  health.watchTrouble((trouble) => {
    if (trouble !== null && !isAway) troubleSinceMs = performance.now();
    isAway = trouble !== null;
  });
  let haveAllWorkersServed = false;

  function ofRedis(): Finding {
    const trouble = health.trouble();
    if (trouble === null) return { status: 'ready' };
    const wasUsable = health.redisCapabilities() !== null;
    const isWithinGrace = performance.now() - troubleSinceMs < graceMs;
    const isDegraded = servesViewers && wasUsable && PASSING.has(trouble.state) && isWithinGrace;
    const message = troubleText(trouble);
    if (wasUsable && trouble.state === 'full') return { status: 'degraded', code: 'redis_full', message };
    return { status: isDegraded ? 'degraded' : 'unavailable', code: 'redis_unavailable', message };
  }

  function ofWorkers(all: readonly WorkerReadiness[]): Finding {
    const absent = all.filter(({ state }) => state !== 'ready');
    if (absent.length === 0) haveAllWorkersServed = true;
    if (absent.length === 0) return { status: 'ready' };
    const names = absent.map(({ worker, state }) => `${worker} (${state})`).join(', ');
    const isDegraded = haveAllWorkersServed && absent.length < all.length;
    const message = `Gateway workers do not serve: ${names}. See their log records.`;
    return { status: isDegraded ? 'degraded' : 'unavailable', message };
  }

  function finding(): Finding {
    if (isDraining()) return { status: 'draining', code: 'draining', message: 'This process is stopping.' };
    const findings = [ofRedis(), ofWorkers(workers?.() ?? [])];
    const worst = (status: Finding['status']): Finding | undefined => findings.find((each) => each.status === status);
    return worst('unavailable') ?? worst('degraded') ?? { status: 'ready' };
  }

  function reportOf(found: Finding, roundTripMs: number | null): ReadyReport {
    const mode = health.durability();
    const trouble = health.trouble();
    const used = health.redisCapabilities();
    return {
      ready: found.status === 'ready' || found.status === 'degraded',
      draining: isDraining(),
      node,
      ...(version === undefined ? {} : { version }),
      ...found,
      durability: { mode, meaning: MEANING[mode] },
      redis: {
        state: trouble?.state ?? 'ok',
        ...(trouble === null ? {} : { reason: trouble.reason, remedy: trouble.remedy }),
        ...known({
          roundTripMs: rounded(roundTripMs),
          clockErrorMs: rounded(health.nowErrorMs()),
          runId: health.runId(),
          server: used?.server ?? null,
          scripts: used?.scripts ?? null,
          publish: used?.publish ?? null,
          memory: memoryReport(health.memory()),
        }),
      },
      ...(workers === undefined ? {} : { workers: workers().map(({ worker, state }) => ({ worker, state })) }),
    };
  }

  return {
    report: () => reportOf(finding(), null),
    async probe() {
      const before = finding();
      const ping = before.status === 'ready' ? health.ping() : null;
      const [pinged] = await Promise.all([ping, health.refreshMemory()]);
      if (pinged === null) return reportOf(before, null);
      if (pinged.ok) return reportOf(before, pinged.value.roundTripMs);
      const { code, message } = pinged.error;
      return reportOf({ status: 'unavailable', code, message }, null);
    },
  };
}
