/**
 * Keeps docs/benchmarks.md and docs/benchmarks: what was measured goes into a file for each suite, charts beside it, and
 * into the page between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. The words around are people's.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { modelNames, modelSources } from './bench-model.js';
import { fastify } from './contestants/fastify.js';
import { fastifyBatched } from './contestants/fastify-batched.js';
import { loop } from './contestants/loop.js';
import { troupeNats } from './contestants/troupe-nats.js';
import { troupeSdk } from './contestants/troupe-sdk.js';
import type { Table } from './outcome.js';
import type { Report } from './report.js';
import { drawChart } from './svg-chart.js';
import { addRun, type TargetRun, targetTable } from './target-runs.js';

/** Where the page is, and the folder of what it shows. */
export interface PagePlace {
  readonly page: string;
  readonly folder: string;
}

export function pagePlace(root: string): PagePlace {
  return { page: join(root, 'docs/benchmarks.md'), folder: join(root, 'docs/benchmarks') };
}

/** What was kept of a suite; `undefined` where it was never measured. */
export function readReport({ folder }: PagePlace, suite: string): Report | undefined {
  const path = join(folder, `${suite}.json`);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Report) : undefined;
}

/** Keeps a report with its charts, and puts all that is kept into the page. */
export function keepReport(place: PagePlace, report: Report, suites: readonly string[]): void {
  mkdirSync(place.folder, { recursive: true });
  for (const name of readdirSync(place.folder)) {
    if (name.endsWith('.svg') && name.startsWith(`${report.suite}-`)) rmSync(join(place.folder, name));
  }
  for (const chart of report.charts) {
    writeFileSync(join(place.folder, `${chartName(report.suite, chart.name)}.svg`), drawChart(chart));
  }
  writeFileSync(join(place.folder, `${report.suite}.json`), `${JSON.stringify(report)}\n`);
  writeFileSync(runsFile(place), `${JSON.stringify(addRun(readRuns(place), report))}\n`);
  writePage(place, suites);
}

const runsFile = ({ folder }: PagePlace) => join(folder, 'runs.json');

function readRuns(place: PagePlace): TargetRun[] {
  const path = runsFile(place);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as TargetRun[]) : [];
}

/** Charts of a suite begin with its name, so that none is left over. */
function chartName(suite: string, name: string): string {
  return name.startsWith(`${suite}-`) ? name : `${suite}-${name}`;
}

/** Fills the regions of the page. Throws where one is missing: what was measured would be lost unseen. */
export function writePage(place: PagePlace, suites: readonly string[]): void {
  let page = readFileSync(place.page, 'utf8');
  page = fillRegion(page, 'models', modelTable());
  page = fillRegion(page, 'contestants', contestantTable());
  page = fillRegion(page, 'targets', formatTable(targetTable(readRuns(place), suites)));
  for (const suite of suites) {
    const report = readReport(place, suite);
    page = fillRegion(page, suite, report === undefined ? 'Not measured.' : formatReport(report));
  }
  writeFileSync(place.page, page);
}

export function fillRegion(page: string, name: string, content: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const [from, to] = [page.indexOf(open), page.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`the page has no region ${open}`);
  return `${page.slice(0, from + open.length)}\n\n${content.trim()}\n\n${page.slice(to)}`;
}

function formatReport(report: Report): string {
  const { machine, intraOpThreads, startedAt, seconds, suite } = report;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    `Measured ${startedAt.slice(0, 10)} in ${seconds} s on ${machine.cores} cores (${machine.cpu}), load ${machine.load1.toFixed(1)} at the end, ` +
      `${intraOpThreads} intra-op thread, commit \`${machine.commit.slice(0, 12)}\`${machine.dirty ? ' with changes' : ''}; ${versions.join(', ')}. ` +
      `Raw: [${suite}.json](benchmarks/${suite}.json).`,
    ...report.tables.filter(({ rows }) => rows.length > 0).map(formatTable),
    ...report.charts.map(({ name, title }) => `![${title}](benchmarks/${chartName(suite, name)}.svg)`),
  ].join('\n\n');
}

function formatTable({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [`**${title}**`, '', line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function modelTable(): string {
  const rows = modelSources(modelNames).map(({ name, text, rowShape, outputLength }) => [
    name,
    text,
    `${rowShape.join('×')} float32 in, ${outputLength} out`,
  ]);
  return formatTable({ title: 'Models', head: ['model', 'what', 'one request'], rows });
}

function contestantTable(): string {
  const rows = [loop, fastify, fastifyBatched, troupeSdk, troupeNats].map(({ name, why }) => [name, why]);
  return formatTable({
    title: 'Contestants',
    head: ['contestant', 'why this is its best configuration'],
    rows,
  });
}
