import type { ComponentChildren } from 'preact';

/** `filled` is the one primary action of a screen. */
export type ButtonLook = 'filled' | 'tonal' | 'outline' | 'text' | 'icon';

export interface ButtonProps {
  readonly children: ComponentChildren;
  readonly look?: ButtonLook | undefined;
  readonly type?: 'button' | 'submit';
  /** Stays focusable, unlike `disabled`, and a press may explain why nothing happens. */
  readonly inactive?: boolean | undefined;
  readonly disabled?: boolean | undefined;
  /** For screen readers, if the content is not enough or changes all the time. */
  readonly label?: string | undefined;
  /** A link that opens in a new tab. */
  readonly href?: string | undefined;
  readonly id?: string | undefined;
  readonly class?: string | undefined;
  readonly expanded?: boolean | undefined;
  readonly data?: Readonly<Record<`data-${string}`, string | undefined>>;
  readonly onClick?: (() => void) | undefined;
}

export function Button({
  children,
  look = 'outline',
  type = 'button',
  inactive,
  disabled,
  label,
  href,
  id,
  class: more = '',
  expanded,
  data = {},
  onClick,
}: ButtonProps) {
  const shared = { ...data, id, class: `button ${look} ${more}`.trim(), 'aria-label': label };
  if (href !== undefined)
    return (
      <a {...shared} href={href} target='_blank' rel='noopener' onClick={onClick}>
        {children}
      </a>
    );
  return (
    <button
      {...shared}
      type={type}
      disabled={disabled}
      aria-disabled={inactive ? 'true' : undefined}
      aria-expanded={expanded}
      onClick={onClick}
    >
      {children}
    </button>
  );
}
