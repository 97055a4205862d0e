export type { JobsConnection } from './connection.ts';
export { createJobs, type Jobs, type JobsDeps } from './jobs.ts';
