/**
 * The highest rate that holds: steps up until one does not, steps between until the two are near,
 * then a longer look at what was found.
 */

export interface Step {
  readonly perSecond: number;
  readonly held: boolean;
}

export interface SearchOptions<S extends Step> {
  readonly startPerSecond: number;
  /**
   * A short look at a rate. After one that did not hold, the next one must find a server that has
   * caught up.
   */
  probe(perSecond: number): Promise<S>;
  /** A look long enough to be reported. */
  confirm(perSecond: number): Promise<S>;
}

export interface Found<S extends Step> {
  /** What held at last; null when no rate did. */
  readonly best: S | null;
  /** Everything that was looked at, in order. */
  readonly steps: readonly S[];
}

const STEP_UP = 1.5;
const STEP_DOWN = 0.5;
const STEP_BACK = 0.85;
/** A rate that held and one that did not are near enough. */
const NEAR = 1.1;
const PROBES_MAX = 24;
const CONFIRMS_MAX = 6;

export async function findSustained<S extends Step>({
  startPerSecond,
  probe,
  confirm,
}: SearchOptions<S>): Promise<Found<S>> {
  const steps: S[] = [];
  const look = async (how: (perSecond: number) => Promise<S>, perSecond: number): Promise<S> => {
    const step = await how(perSecond);
    steps.push(step);
    return step;
  };
  // One stall of the machine must not decide: a rate has failed when it failed twice.
  const tried = async (rate: number): Promise<S> => {
    const first = await look(probe, rate);
    return first.held ? first : look(probe, rate);
  };
  let good: S | null = null;
  let bad: S | null = null;
  let perSecond = startPerSecond;
  while ((good === null || bad === null) && steps.length < PROBES_MAX && perSecond >= 1) {
    const step = await tried(Math.round(perSecond));
    if (step.held) good = step;
    else bad = step;
    perSecond = step.held ? step.perSecond * STEP_UP : step.perSecond * STEP_DOWN;
  }
  while (good !== null && bad !== null && bad.perSecond / good.perSecond > NEAR && steps.length < PROBES_MAX) {
    const between = await tried(Math.round(Math.sqrt(good.perSecond * bad.perSecond)));
    if (between.held) good = between;
    else bad = between;
  }
  let candidate = good?.perSecond ?? 0;
  for (let i = 0; i < CONFIRMS_MAX && candidate >= 1; i++) {
    const step = await look(confirm, Math.round(candidate));
    if (step.held) return { best: step, steps };
    candidate *= STEP_BACK;
  }
  return { best: null, steps };
}
