import { useEffect, useRef } from 'preact/hooks';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { number, t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

const FLOATS_MAX = 12;
const FLOATS_PER_CHANGE = 3;
const FLOAT_MS = 2_200;

const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** Sends hearts, and lets those of all viewers rise. */
export function Hearts({ disabled }: { disabled: boolean }) {
  const { store } = useViewer();
  const floats = useRef<HTMLSpanElement>(null);
  const known = useRef<number | null>(null);
  const count = store.hearts.value;
  const float = (): void => {
    const { current } = floats;
    if (current === null || current.childElementCount >= FLOATS_MAX || calm.matches) return;
    const heart = document.createElement('span');
    heart.textContent = '♥';
    heart.style.setProperty('--drift', `${Math.round(Math.random() * 48 - 24)}px`);
    current.append(heart);
    setTimeout(() => heart.remove(), FLOAT_MS);
  };
  useEffect(() => {
    // Hearts from before this visit do not rise.
    const risen = known.current === null ? 0 : Math.min(FLOATS_PER_CHANGE, count - known.current);
    for (let i = 0; i < risen; i += 1) float();
    if (store.show.peek() !== null) known.current = count;
  }, [count]);
  return (
    <Button
      class='heart'
      disabled={disabled}
      onClick={() => {
        store.client.heart();
        float();
      }}
    >
      <span class='sr'>{t('hearts', { n: count })}</span>
      <Icon name='heart' solid />
      <span class='figures' aria-hidden='true'>
        {count > 9_999 ? compact(count) : number(count)}
      </span>
      <span class='floats' ref={floats} aria-hidden='true' />
    </Button>
  );
}

const compact = (count: number): string =>
  new Intl.NumberFormat(document.documentElement.lang, { notation: 'compact' }).format(count);
