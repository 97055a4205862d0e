/** A place of content that loads. Sizes are classes of the page. */
export function Skeleton({ class: size }: { class: string }) {
  return <span class={`skeleton ${size}`} aria-hidden='true' />;
}
