import { Type } from 'typebox';
import { type Durability, REDIS_STATES, type RedisState } from '../../domain/health.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ReadyReport, WorkerReadiness } from '../../telemetry/readiness.ts';

const oneOf = <T extends string>(...values: T[]) => Type.Unsafe<T>({ type: 'string', enum: values });
const orNull = <T extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Number>>(type: T) =>
  Type.Union([type, Type.Null()]);

export const Alive = Type.Object({ status: Type.Literal('alive'), node: Type.String(), version: Type.String() });
const RedisMemory = Type.Object(
  {
    usedBytes: Type.Number(),
    maxBytes: Type.Number({ description: 'Above it Redis refuses writes' }),
    fullInHours: orNull(
      Type.Number({ description: 'At the growth of the last week; null: not in sight, or not known yet' }),
    ),
  },
  { description: 'null until it was read, and if the user of Redis may not run INFO' },
);
export const Ready = Type.Object({
  status: oneOf<ReadyReport['status']>('ready', 'degraded', 'draining', 'unavailable'),
  ready: Type.Boolean({ description: 'false with the status 503' }),
  draining: Type.Boolean(),
  node: Type.String(),
  version: Type.Optional(Type.String()),
  code: Type.Optional(Type.Unsafe<ErrorCode>({ type: 'string' })),
  message: Type.Optional(Type.String({ description: 'What is wrong and what to do, unless status is ready' })),
  durability: Type.Object({
    mode: oneOf<Durability>('memory', 'everysec', 'always', 'unknown'),
    meaning: Type.String(),
  }),
  redis: Type.Object({
    state: oneOf<RedisState | 'ok'>('ok', ...REDIS_STATES),
    reason: Type.Optional(Type.String()),
    remedy: Type.Optional(Type.String()),
    roundTripMs: orNull(Type.Number()),
    clockErrorMs: orNull(Type.Number()),
    runId: orNull(
      Type.String({
        description:
          'Run id of the server; shows get a new epoch when it changes. null for a cluster: it differs by master.',
      }),
    ),
    server: orNull(Type.String()),
    scripts: orNull(Type.String()),
    publish: orNull(Type.String()),
    memory: Type.Union([RedisMemory, Type.Null()]),
  }),
  workers: Type.Optional(
    Type.Array(
      Type.Object({
        worker: Type.Integer(),
        state: oneOf<WorkerReadiness['state']>('starting', 'ready', 'restarting'),
      }),
    ),
  ),
});
