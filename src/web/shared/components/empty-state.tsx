import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

export interface EmptyStateProps {
  readonly icon: IconName;
  readonly title: string;
  readonly children?: ComponentChildren;
  /** Errors are announced at once. */
  readonly alert?: boolean;
  readonly action?: ComponentChildren;
}

/** What will appear here, or what went wrong, and what to do. */
export function EmptyState({ icon, title, children, alert = false, action }: EmptyStateProps) {
  return (
    <div class='empty' role={alert ? 'alert' : undefined}>
      <Icon name={icon} />
      <h2>{title}</h2>
      {children !== undefined && <p>{children}</p>}
      {action}
    </div>
  );
}
