import { computed, type ReadonlySignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';

/** A computed signal that keeps its value while the next one has the same content. */
export function stable<T>(read: () => T): ReadonlySignal<T> {
  let known: { readonly text: string; readonly value: T } | null = null;
  return computed(() => {
    const value = read();
    const text = JSON.stringify(value);
    if (known?.text !== text) known = { text, value };
    return known.value;
  });
}

/** `stable` in a component. It is made again when an input changes. */
export const useStable = <T>(read: () => T, inputs: readonly unknown[]): ReadonlySignal<T> =>
  useMemo(() => stable(read), inputs as unknown[]);
