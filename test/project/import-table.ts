/** The allowed imports between the folders of src. `imports.test.ts` enforces them. */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  'limits.ts': ['protocol'],
  domain: ['protocol', 'limits.ts'],
  auth: ['protocol', 'limits.ts'],
  telemetry: ['protocol', 'limits.ts', 'domain'],
  config: ['protocol', 'limits.ts', 'domain'],
  fanout: ['protocol', 'limits.ts', 'domain'],
  selling: ['protocol', 'limits.ts', 'domain'],
  rooms: ['protocol', 'limits.ts', 'domain', 'fanout', 'selling'],
  redis: ['protocol', 'limits.ts', 'domain', 'telemetry'],
  gateway: ['protocol', 'limits.ts', 'domain', 'fanout', 'rooms', 'auth', 'config', 'telemetry'],
  archive: ['protocol', 'limits.ts', 'domain', 'telemetry'],
  control: ['protocol', 'limits.ts', 'domain', 'auth', 'telemetry'],
  jobs: ['protocol', 'limits.ts', 'domain', 'telemetry'],
  client: ['protocol'],
  web: ['client', 'protocol'],
  cli: ['config', 'client', 'protocol', 'limits.ts', 'domain', 'auth', 'telemetry', 'archive', 'redis', 'main.ts'],
};

/** Each library is imported by one folder only. */
export const HOME_OF: Readonly<Record<string, string>> = {
  ioredis: 'redis',
  'uWebSockets.js': 'gateway',
  fastify: 'control',
  '@fastify': 'control',
  bullmq: 'jobs',
  'fast-jwt': 'auth',
  'prom-client': 'telemetry',
  preact: 'web',
  '@preact': 'web',
  'hls.js': 'web',
};

export const LINES_MAX = 400;
