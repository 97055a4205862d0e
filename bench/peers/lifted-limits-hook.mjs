/** Rewrites those numbers where the engine's limits are loaded. A name that is gone ends the engine: a comparison must not run with another load than it says. */
const LIFTED = [
  'chatRatePerConnectionPerSecond',
  'chatBurstPerConnection',
  'chatRatePerUserPerSecond',
  'chatBurstPerUser',
  'requestRatePerConnectionPerSecond',
  'requestBurstPerConnection',
  'inFlightPerConnectionMax',
];

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  if (!/\/protocol\/limits\.[jt]s$/.test(url)) return loaded;
  let source = String(loaded.source);
  for (const name of LIFTED) {
    if (!new RegExp(`\\b${name}: [\\d_]+,`).test(source)) throw new Error(`the limits have no ${name} to lift`);
    source = source.replace(new RegExp(`\\b${name}: [\\d_]+,`), `${name}: 1_000_000,`);
  }
  return { ...loaded, source };
}
