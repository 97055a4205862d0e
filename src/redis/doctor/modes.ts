/** Tries each way to run scripts and to publish, beside the one that the engine chose. */
import { type Check, passed, warning } from '../../domain/checkup.ts';
import type { RedisTrouble } from '../../domain/health.ts';
import type { ScriptModes } from '../scripts.ts';
import { createStore, type StoreOptions } from '../store.ts';
import { firstOutcome } from './outcome.ts';

/** Ends of the key prefix of the other stores: stores that publish differently share no keys. */
export const OTHER_SPACES = ['s:', 'p:'] as const;

async function outcomeOf(options: StoreOptions): Promise<RedisTrouble | null> {
  const store = createStore(options);
  try {
    return await firstOutcome(store);
  } finally {
    await store.close();
  }
}

function checkPreferred(
  id: string,
  what: string,
  isChosen: boolean,
  trouble: RedisTrouble | null,
  cost: string,
): Check {
  if (isChosen) return passed(id, `${what}: used.`);
  if (trouble === null) return passed(id, `${what}: would work too.`);
  return warning(id, `${what}: not possible. ${trouble.reason} ${cost}`, trouble.remedy);
}

function checkFallback(id: string, what: string, isChosen: boolean, trouble: RedisTrouble | null): Check {
  if (isChosen) return passed(id, `${what}: used.`);
  return passed(id, trouble === null ? `${what}: would work too.` : `${what}: not possible, and not needed.`);
}

export async function checkModes(chosen: ScriptModes, options: StoreOptions & { keySpace: string }): Promise<Check[]> {
  const { scripts, publish } = chosen;
  const [ofScripts, ofPublish] = OTHER_SPACES.map((end) => ({ ...options, keySpace: options.keySpace + end }));
  const [scriptsTrouble, publishTrouble] = await Promise.all([
    outcomeOf({ ...(ofScripts as StoreOptions), scripts: scripts === 'eval' ? 'functions' : 'eval', publish }),
    outcomeOf({ ...(ofPublish as StoreOptions), scripts, publish: publish === 'classic' ? 'sharded' : 'classic' }),
  ]);
  const costs = {
    functions: 'EVALSHA builds a script again at each call.',
    sharded: 'In a cluster, classic publish sends each message to every node.',
  };
  return [
    checkPreferred('functions', 'Redis Functions', scripts === 'functions', scriptsTrouble, costs.functions),
    checkFallback('eval', 'EVALSHA', scripts === 'eval', scriptsTrouble),
    checkPreferred('sharded', 'Sharded publish', publish === 'sharded', publishTrouble, costs.sharded),
    checkFallback('classic', 'Classic publish', publish === 'classic', publishTrouble),
  ];
}
