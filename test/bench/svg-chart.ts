/** Bars as SVG text, for docs/benchmarks: lying bars, a group for each label, whiskers from lowest to highest. Pure. */
import { type Chart, figure } from './outcome.js';

const width = 720;
const labelWidth = 230;
const valueWidth = 110;
const barHeight = 18;
const gap = 6;
const groupGap = 10;
const top = 44;

/** Ours in blue, the others in greys, by name; series without a name of their own in turn. */
const oursColour = '#2563eb';
const othersColour = '#94a3b8';
const seriesColours = ['#2563eb', '#f59e0b', '#10b981', '#94a3b8'] as const;

export function drawChart({ title, unit, labels, series }: Chart): string {
  const highest = Math.max(
    ...series.flatMap(({ values, high }) => [...values, ...(high ?? [])]).filter(Number.isFinite),
  );
  const scale = (value: number) => (Math.max(0, value) / highest) * (width - labelWidth - valueWidth);
  const parts: string[] = [];
  let y = top;
  labels.forEach((label, index) => {
    const groupHeight = series.length * (barHeight + gap) - gap;
    parts.push(text(labelWidth - 10, y + groupHeight / 2 + 4, label, 'end'));
    series.forEach(({ values, low, high }, order) => {
      const value = values[index] ?? Number.NaN;
      if (!Number.isFinite(value)) return;
      const colour =
        series.length > 1
          ? (seriesColours[order % seriesColours.length] as string)
          : isOurs(label)
            ? oursColour
            : othersColour;
      parts.push(
        `<rect x="${labelWidth}" y="${y}" width="${round(scale(value))}" height="${barHeight}" fill="${colour}"/>`,
      );
      const [from, to] = [low?.[index], high?.[index]];
      const middle = y + barHeight / 2;
      let end = scale(value);
      if (from !== undefined && to !== undefined) {
        const [x1, x2] = [round(labelWidth + scale(from)), round(labelWidth + scale(to))];
        parts.push(
          `<path d="M${x1} ${middle}H${x2}M${x1} ${middle - 4}v8M${x2} ${middle - 4}v8" stroke="#111827" fill="none"/>`,
        );
        end = Math.max(end, scale(to));
      }
      parts.push(text(labelWidth + end + 8, middle + 4, figure(value), 'start'));
      y += barHeight + gap;
    });
    y += groupGap;
  });
  if (series.length > 1) {
    series.forEach(({ name }, order) => {
      const colour = seriesColours[order % seriesColours.length] as string;
      parts.push(`<rect x="${labelWidth}" y="${y}" width="12" height="12" fill="${colour}"/>`);
      parts.push(text(labelWidth + 20, y + 11, name, 'start'));
      y += 20;
    });
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + 6}" viewBox="0 0 ${width} ${y + 6}" font-family="sans-serif" font-size="13" role="img">`,
    `<title>${escapeXml(title)}, ${escapeXml(unit)}</title>`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    `<text x="16" y="26" font-size="15" font-weight="bold" fill="#111827">${escapeXml(title)} (${escapeXml(unit)})</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function isOurs(label: string): boolean {
  return label.startsWith('troupe') || label === 'dynamic' || label.startsWith('workers');
}

function text(x: number, y: number, content: string, anchor: 'start' | 'end'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#111827">${escapeXml(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeXml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
