import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

export interface BannerProps {
  readonly icon: IconName;
  readonly look?: 'warning';
  readonly children: ComponentChildren;
  readonly actions?: ComponentChildren;
}

export function Banner({ icon, look, children, actions }: BannerProps) {
  return (
    <div class={`banner ${look ?? ''}`.trim()}>
      <Icon name={icon} />
      {children}
      {actions}
    </div>
  );
}
