/** Tables and figures for people: plain columns within the width of the terminal, without lines and colours. */
import Table from 'cli-table3';

/** Columns assumed where the output is no terminal. */
export const plainWidth = 80;

const noLines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** How a table is set. */
export interface TableOptions {
  /** Columns of the terminal. */
  readonly width: number;
  /** Columns with figures, by heading: set to the right. */
  readonly figures?: readonly string[];
  /** Makes headings stand out; only on a terminal that wants it. */
  readonly emphasize?: (text: string) => string;
}

/**
 * A table whose last column wraps at the width; the others are as wide as their content. Ends with a newline.
 * Control characters of names from outside are shown, not sent to the terminal.
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions,
): string {
  const safe = rows.map((row) => row.map(showControls));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...safe.map((row) => (row[column] ?? '').length)),
  );
  const last = widths.length - 1;
  const taken = widths.slice(0, last).reduce((sum, width) => sum + width + 2, 0);
  widths[last] = Math.max(
    headings[last]?.length ?? 0,
    Math.min(widths[last] ?? 0, Math.max(12, options.width - taken)),
  );
  const table = new Table({
    head: [...headings],
    chars: noLines,
    colWidths: widths,
    colAligns: headings.map((heading) => (options.figures?.includes(heading) === true ? 'right' : 'left')),
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    wordWrap: true,
    wrapOnWordBoundary: true,
  });
  for (const row of safe) table.push([...row]);
  const lines = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  if (options.emphasize !== undefined) lines[0] = options.emphasize(lines[0] ?? '');
  return `${lines.join('\n')}\n`;
}

/** Bytes with a unit: `4.0 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Milliseconds with a unit, `-` where there are none. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return '-';
  if (ms >= 10_000) return `${Math.round(ms / 1_000)} s`;
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

/** Text with its control characters as escapes: names come from outside, and a terminal obeys them. */
export function showControls(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (control) =>
    JSON.stringify(control)
      .slice(1, -1)
      .replace(/^[\u007f-\u009f]$/, '?'),
  );
}
