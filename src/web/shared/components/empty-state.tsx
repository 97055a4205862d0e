import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

export interface EmptyStateProps {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
  /** `h1` where it is all that the page has. */
  readonly heading?: 'h1' | 'h2';
  /** Errors are announced at once. */
  readonly alert?: boolean;
  readonly action?: ComponentChildren;
}

/** What will appear here, or what went wrong, and what to do. */
export function EmptyState({ icon, title, children, heading: Heading = 'h2', alert = false, action }: EmptyStateProps) {
  return (
    <div class='empty' role={alert ? 'alert' : undefined}>
      <Icon name={icon} />
      <Heading>{title}</Heading>
      {children !== undefined && <p>{children}</p>}
      {action}
    </div>
  );
}
