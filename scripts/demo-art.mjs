/** What the demo shows, as simple shapes: products of three brands, a stage at a harbor. */

const BRANDS = {
  nordlys: { from: '#e3eef1', to: '#b3cfd8', dark: '#1d4656', main: '#2f6b7e', light: '#5c9aab', mark: '#f0b94d' },
  sol: { from: '#fdf0e0', to: '#f5cfa8', dark: '#8a3a1c', main: '#d9683c', light: '#ee9a6c', mark: '#fff4e6' },
  kumo: { from: '#efecf8', to: '#cbc2e6', dark: '#352a58', main: '#54468a', light: '#8a7cbd', mark: '#f6f3ff' },
};

const BODY = `M160 96C140 102 120 110 108 124L70 262L106 274L132 190L130 322Q200 334 270 322L268 190L294 274L330 262
  L292 124C280 110 260 102 240 96Q200 120 160 96Z`;
const HOOD = 'M148 108C140 60 166 38 200 38C234 38 260 60 252 108Q200 138 148 108Z';

/** Light from the upper left, on a shape. */
const lit = (shape) => `<path d="${shape}" fill="url(#light)"/>`;
const line = (d, color, width = 3) =>
  `<path d="${d}" fill="none" stroke="${color}" stroke-width="${width}" stroke-linecap="round"
      stroke-linejoin="round"/>`;

const sleeveSeams = (color) => line('M132 190L140 142M268 190L260 142', color, 2.5);

const PRODUCTS = {
  'fjell-parka': [
    'nordlys',
    ({ dark, main, light, mark }) => {
      const long = BODY.replace('130 322Q200 334 270 322', '126 350Q200 362 274 350');
      return `<path d="${HOOD}"
      fill="${dark}"/>${line('M152 106C146 66 168 48 200 48C232 48 254 66 248 106', '#e9dfd2', 12)}
      <path d="${long}" fill="${main}"/>${lit(long)}${sleeveSeams(dark)}
      <path d="M160 96Q200 128 240 96L234 116Q200 140 166 116Z" fill="${dark}"/>
      ${line('M200 126V354', dark, 4)}${line('M206 132V350', light, 2)}
      ${line('M131 246Q200 256 269 246', dark, 3)}
      <rect x="142" y="268" width="44" height="52" rx="6" fill="${dark}" opacity=".55"/>
      <rect x="214" y="268" width="44" height="52" rx="6" fill="${dark}" opacity=".55"/>
      ${line('M142 280H186M214 280H258', light, 2)}
      <rect x="224" y="160" width="26" height="14" rx="3" fill="${mark}"/>
      ${line('M74 248L110 260M326 248L290 260', dark, 4)}`;
    },
  ],
  'vidda-fleece': [
    'nordlys',
    ({ dark, main, light, mark }) => `
      <path d="${BODY}" fill="${light}"/>${lit(BODY)}
      <path d="M160 96C140 102 120 110 108 124L100 154Q200 190 300 154L292 124C280 110 260 102 240 96Q200 120 160 96Z"
        fill="${main}"/>
      <path d="M164 84Q200 100 236 84L240 108Q200 130 160 108Z" fill="${dark}"/>
      ${line('M200 104V206', dark, 4)}<circle cx="200" cy="208" r="4" fill="${mark}"/>
      ${sleeveSeams(main)}
      <rect x="218" y="186" width="40" height="38" rx="6" fill="${main}"/>${line('M218 198H258', mark, 3)}
      ${line('M74 250L110 262M326 250L290 262M131 312Q200 324 269 312', dark, 4)}`,
  ],
  'praia-shirt': [
    'sol',
    ({ dark, main, mark }) => {
      const shirt = `M160 92C138 98 118 106 104 120L72 212L118 230L134 184L132 330Q200 340 268 330
      L266 184L282 230L328 212
      L296 120C282 106 262 98 240 92L200 112Z`;
      const stripes = [146, 164, 182, 218, 236, 254].map((x) => `M${x} 108V332`).join('');
      return `<path d="${shirt}" fill="${mark}"/>${line(stripes, '#f2c8a4', 3)}
      <path d="M104 120L72 212L118 230L134 184L140 140Z M296 120L328 212L282 230L266 184L260 140Z" fill="#fbe3cd"/>
      ${lit(shirt)}${line('M200 122V334', dark, 2.5)}
      ${[150, 190, 230, 270, 310].map((y) => `<circle cx="207" cy="${y}" r="4" fill="${main}"/>`).join('')}
      <path d="M160 92L200 122L178 146L152 104Z M240 92L200 122L222 146L248 104Z" fill="${main}"/>
      <rect x="222" y="176" width="38" height="42" rx="5" fill="#fbe3cd" stroke="${main}" stroke-width="2"/>
      ${line('M74 206L120 224M326 206L280 224', main, 3)}`;
    },
  ],
  'duna-sandal': [
    'sol',
    ({ dark, main, light }) => {
      const sole = `M0-118C42-118 50-66 42-24C37 8 46 40 40 84C35 122-33 122-38 84C-44 40-33 8-40-24
      C-50-66-42-118 0-118Z`;
      const one = (x, turn) => `<g transform="translate(${x} 204) rotate(${turn})">
      <path d="${sole}" fill="${dark}" transform="translate(5 8)"/><path d="${sole}" fill="#f3c79d"/>
      <path d="${sole}" fill="url(#light)"/>
      ${line('M-37-32Q0-80 37-32', main, 20)}${line('M-32 0Q0-40 32 0', light, 16)}
      ${line('M-33 74Q0 104 33 74', main, 12)}<rect x="24" y="-14" width="14" height="18" rx="4" fill="#f8e3b5"/>
      </g>`;
      return one(138, -9) + one(264, 9);
    },
  ],
  'kumo-runner': [
    'kumo',
    ({ dark, main, light, mark }) => {
      const upper = `M66 262C60 214 70 176 92 168C108 196 138 198 158 176C184 204 226 226 280 232
      C324 236 346 246 348 266Z`;
      return `<path d="${upper}" fill="${main}"/>${lit(upper)}
      <path d="M66 262C62 226 66 190 80 174C96 204 92 240 112 262Z" fill="${dark}"/>
      <path d="M280 232C324 236 346 246 348 266L262 266C262 250 268 238 280 232Z" fill="${light}"/>
      <path d="M124 262C130 232 156 222 174 236C182 220 208 222 212 240C232 236 244 250 240 264Z" fill="${mark}"/>
      ${line('M170 192L188 176M188 204L206 188M208 214L226 199M230 222L246 209', mark, 6)}
      <path d="M56 260H352C366 262 362 292 342 298C280 308 130 308 78 300C58 296 50 264 56 260Z" fill="#fff"/>
      ${line('M60 282C140 292 270 292 356 280', light, 5)}`;
    },
  ],
  'kumo-hoodie': [
    'kumo',
    ({ dark, main, light, mark }) => `
      <path d="${HOOD}" fill="${dark}"/><path d="M162 100C158 72 176 58 200 58C224 58 242 72 238 100Q200 124 162 100Z"
        fill="#241c40"/>
      <path d="${BODY}" fill="${main}"/>${lit(BODY)}${sleeveSeams(dark)}
      <path d="M156 98Q200 140 244 98L250 112Q200 160 150 112Z" fill="${light}"/>
      ${line('M184 134V192M216 134V184', mark, 4)}
      <path d="M152 240H248L264 302H136Z" fill="${dark}"
      opacity=".5"/>${line('M152 240L136 302M248 240L264 302', light, 2)}
      <path d="M166 190C170 176 186 176 190 186C196 174 214 176 214 190C226 190 226 206 214 206H168
        C156 206 156 192 166 190Z"
        fill="${mark}" opacity=".92"/>
      ${line('M73 252L109 264M327 252L291 264M131 314Q200 326 269 314', dark, 9)}`,
  ],
};

const lightGradient = `<linearGradient id="light" x1="0" y1="0" x2="1" y2="1"><stop stop-color="#fff"
      stop-opacity=".26"/>
  <stop offset=".5" stop-color="#fff" stop-opacity="0"/><stop offset="1" stop-color="#000" stop-opacity=".16"/>
      </linearGradient>`;

/** A product without its background. */
const shapeOf = (id) => PRODUCTS[id][1](BRANDS[PRODUCTS[id][0]]);

/** Returns an SVG document for each product: its name and its text. */
export function productImages() {
  return Object.entries(PRODUCTS).map(([id, [brand]]) => {
    const { from, to, dark } = BRANDS[brand];
    const text = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400"><defs>${lightGradient}
      <linearGradient id="back" x2=".4" y2="1"><stop stop-color="${from}"/><stop offset="1" stop-color="${to}"/>
      </linearGradient>
      <radialGradient id="ground"><stop stop-color="${dark}" stop-opacity=".35"/><stop offset="1" stop-color="${dark}"
      stop-opacity="0"/></radialGradient></defs>
      <rect width="400" height="400" fill="url(#back)"/><circle cx="292" cy="112" r="150" fill="#fff" opacity=".22"/>
      <ellipse cx="200" cy="${id === 'kumo-runner' ? 304 : 352}" rx="150" ry="20"
      fill="url(#ground)"/>${shapeOf(id)}</svg>`;
    return { name: `${id}.svg`, text: `${text.replace(/\n\s*/g, ' ')}\n` };
  });
}

export const STAGE = { width: 960, height: 540, seconds: 8, framesPerSecond: 20 };

const range = (count) => Array.from({ length: count }, (_, i) => i);
/** The same numbers in each run, from 0 to 1. */
const spread = (i, step) => (i * step) % 1;

/** The stage at a time from 0 to 1. All motion is periodic, so that the clip loops. */
export function stageImage(time) {
  const turn = time * 2 * Math.PI;
  const wave = (times, phase = 0) => Math.sin(turn * times + phase * 2 * Math.PI);
  const stars = range(60).map((i) => {
    const glow = 0.35 + 0.3 * wave(1 + (i % 3), spread(i, 0.37));
    return `<circle cx="${spread(i, 0.618) * 960}" cy="${spread(i, 0.271) * 210}" r="${1 + (i % 3) * 0.4}" fill="#fff"
      opacity="${glow.toFixed(2)}"/>`;
  });
  const ripples = range(34).map((i) => {
    const y = 338 + i * 4;
    const x = spread(i, 0.618) * 900 + 24 * wave(1, spread(i, 0.43));
    return `<rect x="${x.toFixed(1)}" y="${y}" width="${26 + (i % 5) * 16}" height="2" rx="1" fill="#ffd9a8"
      opacity="${(0.1 + 0.09 * wave(2, spread(i, 0.29))).toFixed(2)}"/>`;
  });
  const lamps = range(17).map((i) => {
    const x = i * 60;
    const y = 34 + 26 * Math.sin(((x % 320) / 320) * Math.PI);
    const glow = 0.75 + 0.25 * wave(2, i / 6);
    return `<circle cx="${x}" cy="${y}" r="16" fill="#ffcf8a" opacity="${(glow * 0.22).toFixed(2)}"/>
      <circle cx="${x}" cy="${y}" r="5" fill="#ffe9c4" opacity="${glow.toFixed(2)}"/>`;
  });
  const flakes = range(46).map((i) => {
    const y = ((spread(i, 0.413) + time * (1 + (i % 2))) % 1) * 560 - 10;
    const x = spread(i, 0.618) * 960 + 14 * wave(1, spread(i, 0.71));
    return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${1.4 + (i % 3) * 0.7}" fill="#fff" opacity=".65"/>`;
  });
  const garments = ['fjell-parka', 'praia-shirt', 'kumo-hoodie', 'vidda-fleece'].map((id, i) => {
    const sway = (1.6 * wave(1, i * 0.23)).toFixed(2);
    return `<g transform="translate(${170 + i * 140} 176) rotate(${sway} 100 22) scale(.5)">
      ${line('M200 40V74M140 104L200 74L260 104', '#e8d9c6', 7)}<g transform="translate(0 12)">${shapeOf(id)}</g>
      </g>`;
  });
  const beam = 0.5 + 0.4 * wave(1);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 540" width="960" height="540">
      <defs>${lightGradient}
    <linearGradient id="sky" y2="1" x2="0"><stop stop-color="#12213f"/><stop offset=".55" stop-color="#4b4678"/>
    <stop offset=".85" stop-color="#d98a72"/><stop offset="1" stop-color="#f5bd86"/></linearGradient>
    <linearGradient id="sea" y2="1" x2="0"><stop stop-color="#7a5a76"/><stop offset="1" stop-color="#1a2747"/>
      </linearGradient>
    <linearGradient id="pier" y2="1" x2="0"><stop stop-color="#4a3540"/><stop offset="1" stop-color="#221a2b"/>
      </linearGradient>
    <radialGradient id="spot"><stop stop-color="#ffdca8" stop-opacity=".55"/><stop offset="1" stop-color="#ffdca8"
      stop-opacity="0"/>
    </radialGradient>
    <linearGradient id="beam"><stop stop-color="#ffe2a6" stop-opacity="0"/><stop offset="1" stop-color="#ffe2a6"
      stop-opacity=".6"/>
    </linearGradient></defs>
    <rect width="960" height="340" fill="url(#sky)"/>${stars.join('')}
    <path d="M100 88A34 34 0 1 0 136 128A40 40 0 0 1 100 88Z" fill="#fdf1d8"/>
    <path d="M0 340V262Q80 214 160 258T320 236T480 272T660 226T820 262T960 232V340Z" fill="#3a3560"/>
    <path d="M0 340V300Q110 262 220 296T440 290T640 306T820 280T960 300V340Z" fill="#2a2a50"/>
    <path d="M842 312L850 214H872L880 312Z" fill="#e9e2ee"/><path d="M847 252H875L877 276H845Z" fill="#c2533f"/>
    <rect x="850" y="200" width="22" height="14" fill="#ffe2a6"/><path d="M846 200L861 186L876 200Z" fill="#c2533f"/>
    <path d="M861 207L480 140V272Z" fill="url(#beam)" opacity="${beam.toFixed(2)}"/>
    <rect y="336" width="960" height="150" fill="url(#sea)"/>${ripples.join('')}
    <path d="M0 452H960V540H0Z" fill="url(#pier)"/>${line('M0 452H960', '#6a4f58', 4)}
    ${line('M120 470L84 540M300 470L282 540M480 470V540M660 470L678 540M840 470L876 540', '#372836', 3)}
    <ellipse cx="480" cy="486" rx="360" ry="34" fill="url(#spot)"/><ellipse cx="480" cy="290" rx="400" ry="190"
      fill="url(#spot)" opacity=".55"/>
    ${line('M182 478V188M778 478V188M182 196H778', '#d8c3ab', 7)}
    ${line('M158 480H206M754 480H802', '#d8c3ab', 7)}${garments.join('')}
    <rect x="36" y="430" width="124" height="50" rx="4" fill="#e9dccb"/><rect x="36" y="430" width="124"
      height="12" fill="#fff4e4"/>
    <g transform="translate(36 346) scale(.31)">${shapeOf('kumo-runner')}</g>
    <rect x="800" y="430" width="124" height="50" rx="4" fill="#e9dccb"/><rect x="800" y="430" width="124"
      height="12" fill="#fff4e4"/>
    <g transform="translate(810 352) scale(.26)">${shapeOf('duna-sandal')}</g>
    ${line(
      range(4)
        .map((i) => `M${i * 320 - 20} 34Q${i * 320 + 140} 86 ${i * 320 + 300} 34`)
        .join(''),
      '#1b1f38',
      2,
    )}
    ${lamps.join('')}${flakes.join('')}</svg>`;
}
