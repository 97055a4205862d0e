import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { t } from '../i18n.ts';
import { Button } from './button.tsx';
import { Icon } from './icon.tsx';
import { Toast } from './toast.tsx';

export interface SheetProps {
  readonly title: string;
  readonly children: ComponentChildren;
  /** Absent: the viewer has to decide something first. */
  readonly onClose?: (() => void) | undefined;
  /** Keeps its height while its content changes. */
  readonly tall?: boolean;
  readonly class?: string;
}

/** A modal dialog: keeps the focus inside, and Escape or a press beside it closes it. */
export function Sheet({ title, children, onClose, tall = false, class: more = '' }: SheetProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current?.showModal();
    heading.current?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`sheet ${tall ? 'tall' : ''} ${more}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
      onClose={() => (onClose === undefined ? dialog.current?.showModal() : onClose())}
      onClick={(event) => event.target === dialog.current && onClose?.()}
    >
      <header class='sheet-head'>
        <h2 ref={heading} id={id} tabIndex={-1}>
          {title}
        </h2>
        {onClose !== undefined && (
          <Button look='icon' label={t('close')} onClick={onClose}>
            <Icon name='close' />
          </Button>
        )}
      </header>
      <div class='sheet-body'>{children}</div>
      <Toast />
    </dialog>
  );
}
