/** The time of a hold as a line that becomes shorter. */
export function HoldLine({ now, from, to }: { now: number; from: number; to: number }) {
  const rest = (to - now) / Math.max(1, to - from);
  return (
    <div class='hold-line' aria-hidden='true'>
      <span style={{ transform: `scaleX(${Math.max(0, Math.min(1, rest))})` }} />
    </div>
  );
}
