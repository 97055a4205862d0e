/**
 * Loaded into the engine before its own code: one publisher may write for a whole room, as it may with the servers Stampede is compared with. Only what bounds a single
 * person is lifted, and in numbers alone; every check still runs.
 */
import { register } from 'node:module';

register('./lifted-limits-hook.mjs', import.meta.url);
