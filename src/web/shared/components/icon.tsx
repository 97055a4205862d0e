import paths from './icons.json' with { type: 'json' };

export type IconName = keyof typeof paths;

/**
 * An icon of Lucide (ISC license, lucide.dev), as paths on a grid of 24. Always beside a text or in
 * a control with a label, so screen readers skip it.
 */
export function Icon({ name, solid = false }: { name: IconName; solid?: boolean }) {
  const turns = name === 'send' || name === 'play';
  return (
    <svg class={`svg${solid ? ' solid' : ''}${turns ? ' turns' : ''}`} viewBox='0 0 24 24' aria-hidden='true'>
      <path d={paths[name]} />
    </svg>
  );
}
