import { signal } from '@preact/signals';

const TOAST_MS = 6_000;

const text = signal('');
const said = signal('');
const spoken = signal('');
let timer: ReturnType<typeof setTimeout> | undefined;

/** Shows a message for some seconds; screen readers read it when they are idle. */
export function notify(message: string): void {
  text.value = message;
  // What was said before may no longer be so.
  said.value = '';
  clearTimeout(timer);
  timer = setTimeout(() => {
    text.value = '';
  }, TOAST_MS);
}

/** For screen readers only, when they are idle: what the page shows in other places. */
export function say(message: string): void {
  said.value = message;
}

/** For screen readers only, and at once: the moments that a viewer waits for. */
export function speak(message: string): void {
  spoken.value = message;
}

/** Also part of every sheet, because what is behind an open dialog is silent. */
export function Toast() {
  return (
    <>
      <div role='status'>{text.value !== '' && <div class='toast'>{text}</div>}</div>
      <div class='sr' role='status'>
        {said}
      </div>
      <div class='sr' aria-live='assertive'>
        {spoken}
      </div>
    </>
  );
}
