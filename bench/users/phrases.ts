/**
 * What people say in a live shopping chat, each in their own language and sometimes in English.
 * `{p}` stands for a product, `{s}` for a size.
 */
import type { Prng } from '../generator/prng.ts';

export type Mood = 'waiting' | 'rush' | 'after';

export interface Tongue {
  readonly names: readonly string[];
  readonly says: Readonly<Record<Mood, readonly string[]>>;
}

export const ENGLISH: Tongue = {
  names: ['Maya', 'Noah', 'Amara', 'Priya', 'Nia', 'Kofi', 'Emma', 'Arjun', 'Freya', 'Leila'],
  says: {
    waiting: [
      'hi everyone 👋',
      'hello from Manila 🇵🇭',
      'is the {p} true to size?',
      'does the {p} come in {s}?',
      'what is the {p} made of?',
      'can you show the back of the {p} please 🙏',
      'how long is shipping to Canada?',
      'is this dropping tonight or tomorrow?',
      'the {p} looks so good on camera 😍',
      'obsessed with that colour',
      'my sister has the {p}, quality is 10/10',
      'that host is hilarious 😂',
      'turn the volume up a bit?',
      'finally made it on time ⏰',
      'setting my alarm lol',
      'who else is here for the {p}?',
      'me!! 🙋‍♀️',
      'need the {p} in {s}',
      'size {s} gang 💪',
      'please let there be {s}',
      'payday came just in time 😅',
      'what a price 🔥',
      'is there a limit per person?',
      'two per person I think',
    ],
    rush: [
      'GO GO GO 🔥🔥🔥',
      'got it!!! 🎉',
      'in my basket omg',
      'noooo sold out 😭',
      'hands shaking 😂',
      'that was 3 seconds 💀',
      'come on come on',
      'yessss {s}!!',
      'still see {s}!',
      'who released one 👀',
      'got the {p}, thank you 🥹',
      'first time I actually win something',
      'please restock {s} 🙏',
      '😭😭😭',
      '🔥🔥🔥🔥',
      '❤️❤️❤️',
      'LETS GOOO',
    ],
    after: [
      'order confirmed ✅',
      'paid and done 🛍️',
      'more units coming back?',
      'check again, holds run out!',
      'just got one from a lapsed hold 😮',
      'what time is the next drop?',
      'same time next week?',
      'will the {p} restock?',
      'can I change the address after ordering?',
      'my card got declined ahhh 😩',
      'support answered in 2 min, nice',
      'see you next week 👋',
      'best live so far ⭐️',
    ],
  },
};

export const OTHERS: readonly Tongue[] = [
  {
    names: ['Lucía', 'Mateo', 'Sofía', 'Diego'],
    says: {
      waiting: [
        'hola desde CDMX 🙌',
        '¿{p} viene en talla {s}?',
        '¿cuánto tarda el envío a Chile?',
        '¿a qué hora empieza?',
        'qué bonito 😍',
        'yo quiero {p} en {s}',
      ],
      rush: ['ya lo tengo 🙌🙌', '¿ya se agotó?? 😱', 'agotado… 😢', 'corran corran 🏃‍♀️', 'mi {s}!!! 🎉'],
      after: ['gracias por el live 💛', 'pagado ✅', '¿van a reponer {p}?', 'nos vemos la próxima 👋'],
    },
  },
  {
    names: ['Chloé', 'Hugo', 'Inès'],
    says: {
      waiting: [
        'salut de Lyon !',
        '{p} taille petit ou grand ?',
        'vous livrez en Belgique ?',
        'la couleur est superbe 😍',
        'du {s} s’il vous plaît 🙏',
      ],
      rush: ['j’en ai un !! 🥳', 'déjà parti ? sérieux ?', 'oh non 😭', 'vite vite vite'],
      after: ['merci pour le live 🫶', 'commande passée ✅', 'il en reste encore ?', 'à la semaine prochaine !'],
    },
  },
  {
    names: ['Jonas', 'Ingrid', 'Lena'],
    says: {
      waiting: [
        'Guten Abend zusammen',
        'fällt die {s} eher klein aus?',
        'ist das wasserdicht? ({p})',
        'wie lange dauert der Versand?',
        'tolle Farbe 😍',
      ],
      rush: ['hab eins bekommen 🎉', 'schon weg?? 😩', 'das ging schnell 😅', 'los geht’s 🔥'],
      after: ['danke, bis nächste Woche', 'bezahlt ✅', 'kommt {p} nochmal rein?'],
    },
  },
  {
    names: ['Ana', 'Thiago'],
    says: {
      waiting: ['oi gente, cheguei 💚', 'tem {s} no {p}?', 'o tecido é grosso?', 'frete grátis?'],
      rush: ['consegui!! 💚💚', 'esgotou em segundos', 'não acredito 😭', 'vai vai vai 🔥'],
      after: ['obrigada!! 💚', 'já paguei ✅', 'quando é a próxima?'],
    },
  },
  {
    names: ['ゆい', 'Haruto', 'さくら'],
    says: {
      waiting: ['こんばんは〜', '{p}のサイズ感どうですか？', '{s}まだありますか？', '色かわいい😍', 'あと何分？'],
      rush: ['買えた！！', '一瞬で消えた…', 'ああああ😭', 'きたーー🎉'],
      after: ['また来週！', '決済できました✅', '再入荷ありますか？', 'ありがとうございました🙏'],
    },
  },
  {
    names: ['小美', '阿豪', 'Mei'],
    says: {
      waiting: ['大家好！', '{p}有{s}码吗', '这个颜色太好看了 😍', '几点开抢？', '包邮吗'],
      rush: ['抢到了！！！', '又没抢到 😭', '手速不行啊', '冲冲冲🔥'],
      after: ['已付款 ✅', '下次什么时候直播？', '谢谢主播 ❤️', '还会补货吗'],
    },
  },
  {
    names: ['지은', '민준'],
    says: {
      waiting: ['안녕하세요 😊', '{p} {s} 있나요?', '오늘 몇 개 풀려요??', '배송 얼마나 걸려요?'],
      rush: ['성공했어요 ㅠㅠ 💜', '벌써 품절…?', '손이 떨려요 ㅋㅋㅋ', '가즈아 🔥'],
      after: ['다음 방송 언제예요?', '결제 완료 ✅', '재입고 부탁드려요 🙏'],
    },
  },
  {
    names: ['Олеся', 'Дима'],
    says: {
      waiting: ['привет всем!', 'а {p} маломерит?', '{s} будет?', 'цвет огонь 🔥'],
      rush: ['успела!! 🥳', 'как так, уже нет 😭', 'давай давай'],
      after: ['спасибо за эфир', 'оплатила ✅', 'когда следующий?'],
    },
  },
  {
    names: ['ليلى', 'عمر'],
    says: {
      waiting: [
        'مرحبا من القاهرة 👋',
        'هل {p} متوفر بمقاس {s}؟',
        'كم يستغرق الشحن إلى دبي؟',
        'اللون رائع 😍',
        'متى يبدأ البيع؟',
      ],
      rush: ['حصلت عليه!! 🎉', 'نفدت الكمية بسرعة 😭', 'بسرعة بسرعة 🔥', 'لا أصدق'],
      after: ['شكرا على البث ❤️', 'تم الدفع ✅', 'متى العرض القادم؟'],
    },
  },
  {
    names: ['Zeynep', 'Omar'],
    says: {
      waiting: ['herkese merhaba', 'kargo ücretsiz mi?', '{p} için {s} var mı?', 'rengi çok güzel 😍'],
      rush: ['kaptım 😎', 'bitti mi hemen 😱', 'hadi hadi 🔥'],
      after: ['teşekkürler 🧡', 'ödedim ✅', 'tekrar gelecek mi?'],
    },
  },
];

const TAILS: readonly string[] = [
  '',
  '',
  '.k',
  '_m',
  '92',
  '07',
  ' R.',
  ' T.',
  '✨',
  '_off',
  '.shop',
  '🌸',
  'xo',
  '88',
  ' L.',
  '_live',
];
const ENGLISH_SHARE = 0.45;
/**
 * How often people of another tongue write English, and how often anybody speaks out of the moment.
 */
const SWITCH_SHARE = 0.25;
const OFF_MOOD_SHARE = 0.12;

export interface Voice {
  readonly name: string;
  /** A line for the moment; `products` and `sizes` fill its gaps. */
  say(random: Prng, mood: Mood, products: readonly string[], sizes: readonly string[]): string;
}

/** Somebody with a name and a language; `index` keeps the name unique within one audience. */
export function createVoice(random: Prng, index: number): Voice {
  const tongue = random.chance(ENGLISH_SHARE) ? ENGLISH : random.pick(OTHERS);
  return {
    name: `${random.pick(tongue.names)}${random.pick(TAILS)}${index + 1}`,
    say(draw, mood, products, sizes) {
      const spoken = draw.chance(SWITCH_SHARE) ? ENGLISH : tongue;
      const moment = draw.chance(OFF_MOOD_SHARE) ? draw.pick(['waiting', 'rush', 'after'] as const) : mood;
      const text = draw.pick(spoken.says[moment]);
      return text
        .replaceAll('{p}', products.length > 0 ? draw.pick(products) : 'it')
        .replaceAll('{s}', sizes.length > 0 ? draw.pick(sizes) : 'M');
    },
  };
}
