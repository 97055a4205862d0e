export { type ArchivesOptions, createArchives, type RunningArchives } from './archives.ts';
export { archiveFolder } from './manifest.ts';
export { verifyArchive } from './replay.ts';
