/** Which folder of src may import which. The linter's overrides in biome.json say the same; `imports.test.ts` proves both. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  sales: ['protocol'],
  fanout: ['protocol', 'sales'],
  auth: ['protocol'],
  telemetry: ['protocol'],
  config: ['protocol'],
  redis: ['protocol', 'sales', 'fanout', 'telemetry'],
  gateway: ['protocol', 'sales', 'fanout', 'auth', 'telemetry'],
  control: ['protocol', 'sales', 'auth', 'telemetry'],
  jobs: ['protocol', 'sales', 'telemetry'],
  client: ['protocol'],
  web: ['client', 'protocol'],
  cli: ['config', 'client', 'protocol', 'sales', 'auth', 'telemetry', 'redis'],
};

/** Of `src/fanout`, src/redis may see the ports and the pure rules: it implements them, it does not run rooms. */
export const MAY_IMPORT_MAIN = ['cli'];

/** One library, one room. */
export const HOME_OF: Readonly<Record<string, string>> = {
  ioredis: 'redis',
  'uWebSockets.js': 'gateway',
  fastify: 'control',
  '@fastify': 'control',
  bullmq: 'jobs',
  'fast-jwt': 'auth',
  'prom-client': 'telemetry',
};

export const LINES_MAX = 450;
