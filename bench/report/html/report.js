/** Shows values under the pointer or with the arrow keys. The page is complete without it. */
for (const svg of document.querySelectorAll('.plot .canvas')) {
  const { xKind, yLog, unit } = svg.dataset;
  const [xTo, yFrom, yTo] = ['xTo', 'yFrom', 'yTo'].map((name) => Number(svg.dataset[name]));
  const [, , width, height] = svg.getAttribute('viewBox').split(' ').map(Number);
  const lines = [...svg.querySelectorAll('path[data-name]')].map((path) => ({
    name: path.dataset.name,
    points: [...path.getAttribute('d').matchAll(/(-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]),
  }));
  const cursor = svg.querySelector('.cursor');
  const readout = svg.closest('figure').querySelector('.readout');
  let at = null;

  const valueAt = (y) => {
    const share = 1 - y / height;
    const value = yLog === 'yes' ? yFrom * (yTo / yFrom) ** share : yFrom + share * (yTo - yFrom);
    const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    const number = value.toLocaleString('en', { maximumFractionDigits: digits });
    return `${number}${unit.startsWith('/') ? '' : ' '}${unit}`.trim();
  };
  const place = (x) => {
    const value = (x / width) * xTo;
    if (xKind === 'percentile') return `${Number((100 * (1 - 10 ** -value)).toPrecision(6))} %`;
    const seconds = Math.round(value / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  };
  const nearest = (points) =>
    points.reduce((best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best));

  const show = (x) => {
    at = Math.min(width, Math.max(0, x));
    cursor.setAttribute('d', `M${at},0V${height}`);
    const values = lines
      .filter(({ points }) => points.length > 0)
      .map(({ name, points }) => `${name} ${valueAt(nearest(points)[1])}`);
    readout.textContent = `${place(at)}: ${values.join(', ')}`;
  };
  const hide = () => {
    at = null;
    cursor.setAttribute('d', '');
    readout.textContent = '';
  };
  const showAtPointer = (event) => {
    const box = svg.getBoundingClientRect();
    show(((event.clientX - box.left) / box.width) * width);
  };
  for (const type of ['pointermove', 'pointerdown']) svg.addEventListener(type, showAtPointer);
  for (const type of ['pointerleave', 'blur']) svg.addEventListener(type, hide);
  svg.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -width / 100, ArrowRight: width / 100 }[event.key];
    if (event.key === 'Escape') hide();
    if (step === undefined) return;
    event.preventDefault();
    show((at ?? 0) + step);
  });
}
