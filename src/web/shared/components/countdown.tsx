import { computed, type ReadonlySignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { countdownText } from '../i18n.ts';

/** The time until a moment. Only its text changes, and only when it differs. */
export function Countdown({ now, to }: { now: ReadonlySignal<number>; to: number }) {
  const text = useMemo(() => computed(() => countdownText(to - now.value)), [now, to]);
  return <span class='figures'>{text}</span>;
}
