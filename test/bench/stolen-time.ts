/** What a hypervisor gives to others of this machine's processor time. Linux alone says it. */
import { readFileSync } from 'node:fs';

export interface ProcessorTime {
  /** Ticks of all cores since the start, whatever they did. */
  readonly all: number;
  readonly stolen: number;
}

/** user, nice, system, idle, iowait, irq, softirq, steal; guests' time, behind these, is in user's already. */
const fields = 8;
const stolenField = 7;

export function parseProcessorTime(stat: string): ProcessorTime {
  const ticks = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').slice(0, fields).map(Number);
  return { all: ticks.reduce((sum, one) => sum + one, 0), stolen: ticks[stolenField] ?? 0 };
}

export function readProcessorTime(): ProcessorTime {
  try {
    return parseProcessorTime(readFileSync('/proc/stat', 'latin1'));
  } catch {
    return { all: 0, stolen: 0 }; // not Linux
  }
}

/** The share from 0 to 1 that was stolen between two readings; 0 where nobody says. */
export function stolenShare(from: ProcessorTime, to: ProcessorTime): number {
  const all = to.all - from.all;
  return all > 0 ? (to.stolen - from.stolen) / all : 0;
}
