/** Invented chat, shaped like recorded chat: names of 10 characters, texts of 17 on average. */
import { ChatPiece } from '../../src/domain/chat-piece.ts';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';

export type Message = readonly [name: string, text: string];

const WORDS = (
  'ban hum lol omg want this one pls size M how much is it love the red one mine 5 dollars ' +
  'shipping to berlin? wow cute haha yes no back in stock'
).split(' ');

export function inventChat(count: number, seed = 7): Message[] {
  let state = seed;
  const random = (below: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
  const list = (length: number, choices: string | readonly string[]): string[] =>
    Array.from({ length }, () => choices[random(choices.length)] ?? '');
  const users = Array.from({ length: 200 }, () => list(10, '0123456789abcdef').join(''));
  const text = (): string => list(1 + random(7), WORDS).join(' ');
  return Array.from({ length: count }, () => [users[random(200)] ?? '', text().slice(0, 60)]);
}

export function chatPiece(messages: readonly Message[], firstId = 1, at = 1_795_399_320_000): ChatPiece {
  const writer = new MessagePackWriter();
  for (const [i, [name, text]] of messages.entries()) writeChatItem(writer, i, i * 10, name, text, i % 7 === 3 ? 1 : 0);
  return new ChatPiece(firstId, at, messages.length, writer.take());
}

export const idRange = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

export const idsOf = (pieces: readonly ChatPiece[]): number[] =>
  pieces.flatMap((piece) => JSON.parse(`[${piece.json()}]`).map(([i]: [number]) => piece.firstId + i));
