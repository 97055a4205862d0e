/** The release of the engine: the version in package.json. */
import { readFileSync } from 'node:fs';

/** dist/ has the layout of the sources. */
const UP = import.meta.url.endsWith('.js') ? '../../../' : '../../';
const MANIFEST = new URL(`${UP}package.json`, import.meta.url);

export const VERSION: string = (JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string }).version;
