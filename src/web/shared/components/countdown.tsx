import { computed, type ReadonlySignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { countdownText } from '../i18n.ts';

export interface CountdownProps {
  readonly now: ReadonlySignal<number>;
  readonly to: number;
  /** When it began: a clock that is a little behind shows no more than the whole time. */
  readonly from?: number | undefined;
}

/** The time until a moment. Only its text changes, and only when it differs. */
export function Countdown({ now, to, from = -Infinity }: CountdownProps) {
  const text = useMemo(() => computed(() => countdownText(to - Math.max(now.value, from))), [now, to, from]);
  return <span class='figures'>{text}</span>;
}
