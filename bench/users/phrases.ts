/** Phrases of a live shopping chat in eleven languages. `{p}` is a product, `{s}` a size. */
import type { Prng } from '../generator/prng.ts';

export type Mood = 'waiting' | 'rush' | 'after';
export type Language = Readonly<Record<'names' | Mood, readonly string[]>>;

const phrases = (text: string): readonly string[] => text.split('|').map((phrase) => phrase.trim());

export const ENGLISH: Language = {
  names: phrases(`Maya | Noah | Amara | Priya | Nia | Kofi | Emma | Arjun | Freya | Leila`),
  waiting: phrases(`hi everyone 👋 | hello from Manila 🇵🇭 | is the {p} true to size? | does the {p} come in {s}? |
      what is the {p} made of? | can you show the back of the {p} please 🙏 | how long is shipping to Canada? |
      is this dropping tonight or tomorrow? | the {p} looks so good on camera 😍 | obsessed with that colour |
      my sister has the {p}, quality is 10/10 | that host is hilarious 😂 | turn the volume up a bit? |
      finally made it on time ⏰ | setting my alarm lol | who else is here for the {p}? | me!! 🙋‍♀️ |
      need the {p} in {s} | size {s} gang 💪 | please let there be {s} | payday came just in time 😅 |
      what a price 🔥 | is there a limit per person? | two per person I think`),
  rush: phrases(`GO GO GO 🔥🔥🔥 | got it!!! 🎉 | in my basket omg | noooo sold out 😭 | hands shaking 😂 |
      that was 3 seconds 💀 | come on come on | yessss {s}!! | still see {s}! | who released one 👀 |
      got the {p}, thank you 🥹 | first time I actually win something | please restock {s} 🙏 | 😭😭😭 | 🔥🔥🔥🔥 |
      ❤️❤️❤️ | LETS GOOO`),
  after: phrases(`order confirmed ✅ | paid and done 🛍️ | more units coming back? | check again, holds run out! |
      just got one from an expired hold 😮 | what time is the next drop? | same time next week? |
      will the {p} restock? | can I change the address after ordering? | my card got declined ahhh 😩 |
      support replied in 2 min, nice | see you next week 👋 | best live so far ⭐️`),
};

export const OTHERS: readonly Language[] = [
  {
    names: phrases(`Lucía | Mateo | Sofía | Diego`),
    waiting:
      phrases(`hola desde CDMX 🙌 | ¿{p} viene en talla {s}? | ¿cuánto tarda el envío a Chile? | ¿a qué hora empieza? |
      qué bonito 😍 | yo quiero {p} en {s}`),
    rush: phrases(`ya lo tengo 🙌🙌 | ¿ya se agotó?? 😱 | agotado… 😢 | corran corran 🏃‍♀️ | mi {s}!!! 🎉`),
    after: phrases(`gracias por el live 💛 | pagado ✅ | ¿van a reponer {p}? | nos vemos la próxima 👋`),
  },
  {
    names: phrases(`Chloé | Hugo | Inès`),
    waiting:
      phrases(`salut de Lyon ! | {p} taille petit ou grand ? | vous livrez en Belgique ? | la couleur est superbe 😍 |
      du {s} s’il vous plaît 🙏`),
    rush: phrases(`j’en ai un !! 🥳 | déjà parti ? sérieux ? | oh non 😭 | vite vite vite`),
    after: phrases(`merci pour le live 🫶 | commande passée ✅ | il en reste encore ? | à la semaine prochaine !`),
  },
  {
    names: phrases(`Jonas | Ingrid | Lena`),
    waiting: phrases(`Guten Abend zusammen | fällt die {s} eher klein aus? | ist das wasserdicht? ({p}) |
      wie lange dauert der Versand? | tolle Farbe 😍`),
    rush: phrases(`hab eins bekommen 🎉 | schon weg?? 😩 | das ging schnell 😅 | los geht’s 🔥`),
    after: phrases(`danke, bis nächste Woche | bezahlt ✅ | kommt {p} nochmal rein?`),
  },
  {
    names: phrases(`Ana | Thiago`),
    waiting: phrases(`oi gente, cheguei 💚 | tem {s} no {p}? | o tecido é grosso? | frete grátis?`),
    rush: phrases(`consegui!! 💚💚 | esgotou em segundos | não acredito 😭 | vai vai vai 🔥`),
    after: phrases(`obrigada!! 💚 | já paguei ✅ | quando é a próxima?`),
  },
  {
    names: phrases(`ゆい | Haruto | さくら`),
    waiting: phrases(`こんばんは〜 | {p}のサイズ感どうですか？ | {s}まだありますか？ | 色かわいい😍 | あと何分？`),
    rush: phrases(`買えた！！ | 一瞬で消えた… | ああああ😭 | きたーー🎉`),
    after: phrases(`また来週！ | 決済できました✅ | 再入荷ありますか？ | ありがとうございました🙏`),
  },
  {
    names: phrases(`小美 | 阿豪 | Mei`),
    waiting: phrases(`大家好！ | {p}有{s}码吗 | 这个颜色太好看了 😍 | 几点开抢？ | 包邮吗`),
    rush: phrases(`抢到了！！！ | 又没抢到 😭 | 手速不行啊 | 冲冲冲🔥`),
    after: phrases(`已付款 ✅ | 下次什么时候直播？ | 谢谢主播 ❤️ | 还会补货吗`),
  },
  {
    names: phrases(`지은 | 민준`),
    waiting: phrases(`안녕하세요 😊 | {p} {s} 있나요? | 오늘 몇 개 풀려요?? | 배송 얼마나 걸려요?`),
    rush: phrases(`성공했어요 ㅠㅠ 💜 | 벌써 품절…? | 손이 떨려요 ㅋㅋㅋ | 가즈아 🔥`),
    after: phrases(`다음 방송 언제예요? | 결제 완료 ✅ | 재입고 부탁드려요 🙏`),
  },
  {
    names: phrases(`Олеся | Дима`),
    waiting: phrases(`привет всем! | а {p} маломерит? | {s} будет? | цвет огонь 🔥`),
    rush: phrases(`успела!! 🥳 | как так, уже нет 😭 | давай давай`),
    after: phrases(`спасибо за эфир | оплатила ✅ | когда следующий?`),
  },
  {
    names: phrases(`ليلى | عمر`),
    waiting: phrases(
      `مرحبا من القاهرة 👋 | هل {p} متوفر بمقاس {s}؟ | كم يستغرق الشحن إلى دبي؟ | اللون رائع 😍 | متى يبدأ البيع؟`,
    ),
    rush: phrases(`حصلت عليه!! 🎉 | نفدت الكمية بسرعة 😭 | بسرعة بسرعة 🔥 | لا أصدق`),
    after: phrases(`شكرا على البث ❤️ | تم الدفع ✅ | متى العرض القادم؟`),
  },
  {
    names: phrases(`Zeynep | Omar`),
    waiting: phrases(`herkese merhaba | kargo ücretsiz mi? | {p} için {s} var mı? | rengi çok güzel 😍`),
    rush: phrases(`kaptım 😎 | bitti mi hemen 😱 | hadi hadi 🔥`),
    after: phrases(`teşekkürler 🧡 | ödedim ✅ | tekrar gelecek mi?`),
  },
];

/** Ends of names; the first two are empty. */
const SUFFIXES = phrases('||.k|_m|92|07|R.|T.|✨|_off|.shop|🌸|xo|88|L.|_live');
const ENGLISH_SHARE = 0.45;
/** How often people of another language write English, and how often a phrase ignores the mood. */
const SWITCH_SHARE = 0.25;
const OFF_MOOD_SHARE = 0.12;
const MOODS = ['waiting', 'rush', 'after'] as const;

export interface Voice {
  readonly name: string;
  /** A phrase for the mood; `products` and `sizes` fill its gaps. */
  phrase(random: Prng, mood: Mood, products: readonly string[], sizes: readonly string[]): string;
}

/** A writer with a name and a language; `index` makes the name unique. */
export function createVoice(random: Prng, index: number): Voice {
  const language = random.chance(ENGLISH_SHARE) ? ENGLISH : random.pick(OTHERS);
  return {
    name: `${random.pick(language.names)}${random.pick(SUFFIXES)}${index + 1}`,
    phrase(draw, mood, products, sizes) {
      const used = draw.chance(SWITCH_SHARE) ? ENGLISH : language;
      const text = draw.pick(used[draw.chance(OFF_MOOD_SHARE) ? draw.pick(MOODS) : mood]);
      return text
        .replaceAll('{p}', products.length > 0 ? draw.pick(products) : 'it')
        .replaceAll('{s}', sizes.length > 0 ? draw.pick(sizes) : 'M');
    },
  };
}
