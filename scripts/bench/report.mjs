// Figures as tables that a person reads.

/** An aligned text table of rows with the same keys; numbers stand on the right. */
export function table(rows) {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [keys, ...rows.map((row) => keys.map((key) => String(row[key] ?? '')))];
  const widths = keys.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  const isNumber = keys.map((key) => rows.some((row) => typeof row[key] === 'number'));
  const cell = (text, column) => (isNumber[column] ? text.padStart(widths[column]) : text.padEnd(widths[column]));
  return lines.map((line) => line.map(cell).join('  ').trimEnd()).join('\n');
}

/** A row for each figure. */
export function figureTable(figures) {
  return table(
    figures.map((figure) => ({
      ...named(figure),
      ...(figure.problem
        ? { note: figure.problem }
        : {
            'least ms': figure.leastMs,
            'median ms': figure.medianMs,
            n: figure.n,
            'total s': Number((figure.totalMs / 1000).toFixed(1)),
            'CPU ms': figure.leastCpuMs,
            'per second': Math.round(figure.perSecond),
            unit: figure.unit,
            ...(figure.parts && { note: partsText(figure.parts) }),
          }),
    })),
  );
}

/** A row for each ratio; empty without any. */
export function ratioTable(figures) {
  const rows = figures.flatMap((figure) =>
    (figure.ratios ?? []).map(({ against, ms, ratio, cpuRatio, target, isMet, isMetByCpu }) => ({
      ...named(figure),
      'our ms': figure.leastMs,
      against,
      'its ms': ms,
      ratio,
      'CPU ratio': cpuRatio,
      'at most': target,
      met: target === undefined ? '' : verdict(isMet, isMetByCpu ?? isMet),
    })),
  );
  return rows.length > 0 ? table(rows) : '';
}

/** On one thread wall and processor time should agree; where they do not, something else was using the cores. */
function verdict(byWall, byCpu) {
  if (byWall === byCpu) return byWall ? 'yes' : 'NO';
  return byWall ? 'by wall' : 'by CPU';
}

function named({ task, size, shape, backend, way }) {
  return { task, size, shape, backend: way ? `${backend}, ${way}` : backend };
}

function partsText(parts) {
  return Object.entries(parts)
    .map(([name, ms]) => `${name} ${ms}`)
    .join(', ');
}
