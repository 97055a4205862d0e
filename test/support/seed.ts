/**
 * Where random tests begin: `STAMPEDE_SEED`, to play an earlier failure again; with `CI` set always
 * the same, so that a failure there is the change's own; otherwise new ones at every run.
 */
const SEED_OF_CI = 20_261_129;
const { STAMPEDE_SEED: wanted, CI } = process.env;

export const FIRST_SEED = wanted !== undefined ? Number(wanted) : CI !== undefined ? SEED_OF_CI : Date.now() % 2 ** 30;
