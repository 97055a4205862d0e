import type { ComponentChildren } from 'preact';

export interface CardProps {
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly data?: Readonly<Record<`data-${string}`, string | undefined>>;
}

export function Card({ children, class: more = '', data = {} }: CardProps) {
  return (
    <article {...data} class={`card ${more}`.trim()}>
      {children}
    </article>
  );
}
