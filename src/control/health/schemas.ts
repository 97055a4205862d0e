import { Type } from 'typebox';
import type { Durability } from '../../domain/health.ts';

export const Alive = Type.Object({ status: Type.Literal('alive'), node: Type.String(), version: Type.String() });
export const Ready = Type.Object({
  status: Type.Literal('ready'),
  node: Type.String(),
  version: Type.String(),
  durability: Type.Object({
    mode: Type.Unsafe<Durability>({
      type: 'string',
      enum: ['memory', 'everysec', 'always', 'unknown'] satisfies Durability[],
    }),
    meaning: Type.String(),
  }),
  redis: Type.Object({
    roundTripMs: Type.Number(),
    clockErrorMs: Type.Number(),
    runId: Type.Union([Type.String(), Type.Null()], {
      description:
        'Run id of the server; shows get a new epoch when it changes. null for a cluster, where it differs by master.',
    }),
  }),
});
