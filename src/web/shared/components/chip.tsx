import type { ComponentChildren } from 'preact';

/** A choice of a filter. */
export function Chip(props: { children: ComponentChildren; pressed: boolean; onPress: () => void }) {
  return (
    <button type='button' class='chip' aria-pressed={props.pressed} onClick={props.onPress}>
      {props.children}
    </button>
  );
}

export type BadgeLook = 'live' | 'success' | 'warning' | 'accent';

export function Badge({ children, look }: { children: ComponentChildren; look?: BadgeLook | undefined }) {
  return <span class={`badge ${look ?? ''}`.trim()}>{children}</span>;
}
