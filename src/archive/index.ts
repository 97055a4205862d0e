export { type ArchivesOptions, createArchives, type RunningArchives } from './archives.ts';
export { createErasures, type ErasuresOptions, type RunningErasures } from './erasures.ts';
export { archiveFolder } from './manifest.ts';
export { verifyArchive } from './replay.ts';
