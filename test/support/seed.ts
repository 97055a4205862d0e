/**
 * Where random tests begin: `STAMPEDE_SEED`, to play an earlier failure again; with `CI` set always
 * the same, so that a failure there is the change's own; otherwise new ones at every run.
 */
const { STAMPEDE_SEED: wanted, CI } = process.env;

export const FIRST_SEED = wanted !== undefined ? Number(wanted) : CI !== undefined ? 20_261_129 : Date.now() % 2 ** 30;
