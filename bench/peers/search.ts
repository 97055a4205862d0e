/** Searches the highest rate that holds: steps up, bisects, then confirms with a longer run. */

export type Step = { readonly perSecond: number; readonly held: boolean };

interface SearchOptions<S extends Step> {
  readonly startPerSecond: number;
  /** A short run. After one that did not hold, the next one must find a server that caught up. */
  probe(perSecond: number): Promise<S>;
  /** A run long enough to be reported. */
  confirm(perSecond: number): Promise<S>;
}

const STEP_UP = 1.5;
const STEP_DOWN = 0.5;
const STEP_BACK = 0.85;
/** Bisection ends at this ratio of broken to held rate. */
const NEAR = 1.1;
const PROBES_MAX = 24;
const CONFIRMS_MAX = 6;

/** Returns the confirmed step (null if no rate held) and all steps in order. */
export async function findSustained<S extends Step>({ startPerSecond, probe, confirm }: SearchOptions<S>) {
  const steps: S[] = [];
  const run = async (how: (perSecond: number) => Promise<S>, perSecond: number): Promise<S> => {
    const step = await how(Math.round(perSecond));
    steps.push(step);
    return step;
  };
  // A rate must fail twice, so that one stall of the machine does not decide.
  const tried = async (perSecond: number): Promise<S> => {
    const first = await run(probe, perSecond);
    return first.held ? first : run(probe, perSecond);
  };
  let good: S | null = null;
  let bad: S | null = null;
  let perSecond = startPerSecond;
  while ((good === null || bad === null) && steps.length < PROBES_MAX && perSecond >= 1) {
    const step = await tried(perSecond);
    if (step.held) good = step;
    else bad = step;
    perSecond = step.perSecond * (step.held ? STEP_UP : STEP_DOWN);
  }
  while (good !== null && bad !== null && bad.perSecond / good.perSecond > NEAR && steps.length < PROBES_MAX) {
    const between = await tried(Math.sqrt(good.perSecond * bad.perSecond));
    if (between.held) good = between;
    else bad = between;
  }
  let candidate = good?.perSecond ?? 0;
  for (let i = 0; i < CONFIRMS_MAX && candidate >= 1; i++) {
    const step = await run(confirm, candidate);
    if (step.held) return { best: step, steps };
    candidate *= STEP_BACK;
  }
  return { best: null, steps };
}
