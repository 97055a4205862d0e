/** An app as a frontend developer writes it: Vite, React, the packed SDK, compressed broadcasts. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** With the show's address as query, so that one build serves every test. */
const APP = `import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { formatMoney } from '@stampede/client';
import { deflate } from '@stampede/client/deflate';
import { useCountdown, useReserve, useShow } from '@stampede/client/react';

const { url = '', token = '' } = Object.fromEntries(new URLSearchParams(location.search));
const options = { url, show: 'friday', token, codec: deflate };

/** Shares the connection of App. */
function Hello() {
  const { you } = useShow(options);
  return <p id="name">{you?.name}</p>;
}

function App() {
  const { client, sales, status } = useShow(options);
  const countdown = useCountdown(client, 'drop');
  const { reserve, isPending, outcome } = useReserve(client);
  const [sale] = sales;
  const [sku] = sale?.skus ?? [];
  if (sale === undefined || sku === undefined) return <p>{status.at}</p>;
  const buy = () => reserve({ sale: sale.id, lines: [{ sku: sku.sku, qty: 1 }] });
  return (
    <main>
      <Hello />
      <p id="price">{formatMoney(sku.price, sale.currency, 'en')}</p>
      <p id="left">{sku.left}</p>
      <p id="closes">{countdown === null ? '' : Math.ceil(countdown.remainingMs / 1000)}</p>
      <button disabled={isPending} onClick={() => void buy()}>Buy</button>
      <p id="outcome">{outcome === null ? '' : outcome.ok ? outcome.value.reservation.state : outcome.error.code}</p>
    </main>
  );
}

createRoot(document.getElementById('root')!).render(<StrictMode><App /></StrictMode>);
`;
const PAGE = `<!doctype html><title>Shop</title><link rel="icon" href="data:,">
<div id="root"></div><script type="module" src="/src/app.tsx"></script>`;
const COMPILER = {
  jsx: 'react-jsx',
  ...{ strict: true, noEmit: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2022', types: [] },
};

export function writeApp(folder: string): void {
  mkdirSync(join(folder, 'src'), { recursive: true });
  writeFileSync(join(folder, 'src/app.tsx'), APP);
  writeFileSync(join(folder, 'index.html'), PAGE);
  const tsconfig = { compilerOptions: { ...COMPILER, lib: ['es2023', 'dom'] }, include: ['src'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
}
