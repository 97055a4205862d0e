export { diffResults } from './diff.ts';
export { runDiff } from './diff-command.ts';
export { renderDiff } from './diff-text.ts';
export { createDisplay, type Display, type DisplayOptions, type DisplayProgress } from './display.ts';
export { parseResult, ResultFileError, readResult, writeResult } from './files.ts';
export { renderHtml } from './html.ts';
export { renderTable, type TableOptions } from './table.ts';
