export { createJobs, type Jobs, type JobsConnection, type JobsDeps } from './jobs.ts';
export { createRetention } from './retention.ts';
export { createSaleTotals } from './sale-totals.ts';
