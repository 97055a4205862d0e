import { useState } from 'preact/hooks';

export interface ArtProps {
  readonly id: string;
  readonly title: string;
  readonly imageUrl?: string | undefined;
  readonly class?: string;
}

/** The picture of a product, over a color of its id and its initials until it has loaded. */
export function Art({ id, title, imageUrl, class: more = '' }: ArtProps) {
  const [failed, setFailed] = useState<string | null>(null);
  return (
    <div class={`art ${more}`.trim()} style={{ '--hue': String(hueOf(id)) }} aria-hidden='true'>
      <span>{initials(title)}</span>
      {imageUrl !== undefined && imageUrl !== failed && (
        <img src={imageUrl} alt='' loading='lazy' decoding='async' onError={() => setFailed(imageUrl)} />
      )}
    </div>
  );
}

/** Returns a stable hue. The golden angle keeps those of similar ids apart. */
export function hueOf(text: string): number {
  let sum = 0;
  for (const char of text) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 0xff_ff;
  return Math.round(sum * 137.508) % 360;
}

const initials = (title: string): string =>
  title
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0] ?? '')
    .join('')
    .toUpperCase();
