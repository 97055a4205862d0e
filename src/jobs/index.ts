export { createJobs, type Jobs, type JobsDeps } from './jobs.ts';
export { createSaleTotals } from './sale-totals.ts';
