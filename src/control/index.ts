export { createControl } from './app.ts';
export type { ControlDeps, ControlOptions } from './deps.ts';
export { webFolders } from './http/pages.ts';
