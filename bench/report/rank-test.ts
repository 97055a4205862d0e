/**
 * Mann and Whitney's rank test (H. B. Mann, D. R. Whitney, "On a Test of Whether one of Two Random
 * Variables is Stochastically Larger than the Other", Annals of Mathematical Statistics 18, 1947),
 * two-sided and exact, the one Go's benchstat uses for the same question. It asks nothing of the
 * values' distribution, which for times on a shared machine is anything but normal.
 */

/**
 * The chance, if both samples came from one distribution, of rank sums at least as far apart. Ties
 * get middle ranks and the distribution is counted out over every way to deal the pooled ranks to
 * two hands, so ties need no correction. 1 for an empty sample. Cost: |a| x |pool| x (sum of
 * ranks), below a second for 100 against 100.
 */
export function mannWhitneyP(a: readonly number[], b: readonly number[]): number {
  const [few, many] = a.length <= b.length ? [a, b] : [b, a];
  if (few.length === 0) return 1;
  const ranks = doubledRanks([...few, ...many]);
  const total = ranks.reduce((sum, rank) => sum + rank, 0);
  const hand = few.length;
  const ways = waysToSum(ranks, hand);
  // Twice the rank sum of `few` has this mean, whoever was dealt what.
  const mean = (total * hand) / ranks.length;
  const seen = ranks.slice(0, hand).reduce((sum, rank) => sum + rank, 0);
  let all = 0;
  let asFar = 0;
  for (const [sum, count] of ways.entries()) {
    all += count;
    if (Math.abs(sum - mean) >= Math.abs(seen - mean) - 1e-9) asFar += count;
  }
  return asFar / all;
}

/**
 * The smallest p that samples of these sizes can give: all of one beyond all of the other. Above
 * the level asked for, no difference can be told.
 */
export function smallestP(a: number, b: number): number {
  let deals = 1;
  for (let k = 1; k <= Math.min(a, b); k++) deals = (deals * (Math.max(a, b) + k)) / k;
  return Math.min(1, 2 / deals);
}

/** Twice the rank of each value, so that the middle rank of a tie is whole. */
function doubledRanks(values: readonly number[]): number[] {
  const sorted = [...values].sort((x, y) => x - y);
  const rank = new Map<number, number>();
  for (const value of new Set(sorted)) rank.set(value, sorted.indexOf(value) + sorted.lastIndexOf(value) + 2);
  return values.map((value) => rank.get(value) ?? 0);
}

/** At index s: how many hands of `size` ranks sum up to s. */
function waysToSum(ranks: readonly number[], size: number): Float64Array {
  const highest = ranks.toSorted((x, y) => y - x).slice(0, size);
  const most = highest.reduce((sum, rank) => sum + rank, 0);
  const ways = Array.from({ length: size + 1 }, () => new Float64Array(most + 1));
  (ways[0] as Float64Array)[0] = 1;
  let dealt = 0;
  for (const [nth, rank] of ranks.entries()) {
    dealt = Math.min(most, dealt + rank);
    // Hands that the ranks still to come cannot fill are not counted on.
    const least = Math.max(1, size - (ranks.length - nth - 1));
    for (let held = Math.min(nth + 1, size); held >= least; held--) {
      const [less, more] = [ways[held - 1] as Float64Array, ways[held] as Float64Array];
      for (let sum = dealt; sum >= rank; sum--) more[sum] = (more[sum] as number) + (less[sum - rank] as number);
    }
  }
  return ways[size] as Float64Array;
}
