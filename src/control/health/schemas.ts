import { Type } from 'typebox';
import { type Durability, REDIS_STATES, type RedisState } from '../../domain/health.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ReadyReport, WorkerReadiness } from '../../telemetry/readiness.ts';

const oneOf = <T extends string>(...values: T[]) => Type.Unsafe<T>({ type: 'string', enum: values });
export const Alive = Type.Object({ status: Type.Literal('alive'), node: Type.String(), version: Type.String() });
const RedisMemory = Type.Object(
  {
    usedBytes: Type.Integer(),
    maxBytes: Type.Optional(Type.Integer({ description: 'Above it Redis refuses writes; absent: no limit' })),
    fullInSeconds: Type.Optional(Type.Integer({ description: 'At the growth of the last week; absent: not known' })),
    forecast: Type.String({ description: 'When Redis is full, or why that is not known' }),
  },
  { description: 'Absent until it was read, and if the user of Redis may not run INFO' },
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
    roundTripMs: Type.Optional(Type.Number({ description: 'Absent without a reply of Redis to this request' })),
    clockErrorMs: Type.Optional(Type.Number()),
    runId: Type.Optional(
      Type.String({
        description:
          'Run id of the server; shows get a new epoch when it changes. Absent for a cluster: it differs by master.',
      }),
    ),
    server: Type.Optional(Type.String()),
    scripts: Type.Optional(Type.String()),
    publish: Type.Optional(Type.String()),
    memory: Type.Optional(RedisMemory),
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
