export { type ArchivesOptions, createArchives, type RunningArchives } from './archives.ts';
export { createErasures, type ErasuresOptions, type RunningErasures } from './erasures.ts';
export type { ExportFile } from './export-file.ts';
export { archiveFolder } from './manifest.ts';
export { verifyArchive } from './replay.ts';
export { exportShow, importShow, type TransferOptions } from './transfers.ts';
