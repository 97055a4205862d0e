export { createJobs, type Jobs, type JobsDeps } from './jobs.ts';
