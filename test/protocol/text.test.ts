import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { cleanText, parseClientMessage } from '../../src/protocol/index.ts';

t.test('a text without visible characters is empty, and refused as chat (I9, C-3.3)', async (t) => {
  const blanks = {
    'zero width': '\u200b\u200c\u200d\u2060\ufeff',
    'Hangul fillers': '\u3164\u115f\u1160\uffa0',
    'braille blank': '\u2800\u2800',
    'tag characters': '\u{e0041}\u{e0042}',
    'variation selectors': '\ufe0f\u{e0100}',
    'soft hyphen': '\u00ad',
    'marks without a letter': '\u0301\u0302',
    blanks: ' \u00a0\u3000\t\n',
    'direction overrides': '\u202e\u2067\u2069',
  };
  for (const [name, text] of Object.entries(blanks)) {
    t.equal(cleanText(text), '', name);
    const parsed = parseClientMessage({ t: 'chat', id: 1, text });
    t.match(parsed, { ok: false, error: { code: 'invalid_message', details: { field: 'text' } } }, name);
  }
});

t.test('direction overrides, hidden tags and control characters are removed (C-3.2)', async (t) => {
  t.equal(cleanText('pay \u202eecnerefer\u202c now'), 'pay ecnerefer now');
  t.equal(cleanText('\u2066a\u2069\u2068b\u2069'), 'ab');
  t.equal(cleanText('hi\u{e0068}\u{e0069}'), 'hi');
  t.equal(cleanText(' a\u0000b\u2028c\ud800 '), 'a b c');
});

t.test('a letter keeps five combining marks (C-3.2)', async (t) => {
  const tower = `a${'\u0301'.repeat(60)}b`;
  t.equal(cleanText(tower), `a${'\u0301'.repeat(5)}b`);
  t.equal(
    cleanText(`a${'\u0301\u200d'.repeat(60)}b`).match(/\u0301/g)?.length,
    5,
    'joiners do not begin another letter',
  );
});

t.test('scripts and emoji stay as they were written (C-3.1)', async (t) => {
  const texts = [
    ...['hello', 'שָׁלוֹם', 'مُحَمَّد', 'नमस्ते', 'ภาษาไทย', '한국어', '日本語', 'a\u200eb', 'cafe\u0301', 'བསྒྲུབས'],
    ...['👩🏽‍⚕️', '👨‍👩‍👧‍👦', '❤️', '1️⃣', '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}', '🇩🇪', '⠓⠊'],
  ];
  for (const text of texts) t.equal(cleanText(text), text);
  t.equal(cleanText('x'.repeat(LIMITS.chatTextCharsMax)).length, LIMITS.chatTextCharsMax);
});
