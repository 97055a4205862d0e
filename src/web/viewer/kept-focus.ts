/** Keyboards and screen readers stay in their place when the control with the focus is replaced. */
import { useEffect } from 'preact/hooks';

/** What has the control that follows, such as "Pay now" after "Buy". */
const GROUPS = '.actions, .hold';
const CONTROL = 'a[href], button:not(:disabled)';

/** Moves the focus of a control that is gone to the one in its place, else to the large card. */
export function useKeptFocus(): void {
  useEffect(() => {
    let last: Element | null = null;
    let group: Element | null = null;
    const onFocus = ({ target }: FocusEvent): void => {
      last = target instanceof Element ? target.closest(`:is(${GROUPS}) *`) : null;
      group = last?.closest(GROUPS) ?? null;
    };
    const onBlur = (): void => {
      // A control that is there, but has lost the focus: the viewer left it.
      queueMicrotask(() => {
        if (last?.isConnected && last !== document.activeElement) last = null;
      });
    };
    const observer = new MutationObserver(() => {
      if (last === null || last.isConnected) return;
      last = null;
      if (document.activeElement !== document.body) return;
      const place = group?.isConnected ? group : document.querySelector('.featured .actions');
      place?.querySelector<HTMLElement>(CONTROL)?.focus({ preventScroll: true });
    });
    observer.observe(document.body, { childList: true, subtree: true });
    document.addEventListener('focusin', onFocus);
    document.addEventListener('focusout', onBlur);
    return () => {
      observer.disconnect();
      document.removeEventListener('focusin', onFocus);
      document.removeEventListener('focusout', onBlur);
    };
  }, []);
}
