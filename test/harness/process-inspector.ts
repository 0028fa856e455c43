/**
 * Looks into a running Node process from outside, through its inspector: what keeps it alive, and its heap after a
 * forced collection. The product has no hooks for this; a process other than this one must have been started with
 * `NODE_OPTIONS=--inspect-port=0`, so that each opens its inspector on a port of its own when asked by SIGUSR1.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { open as openOwnInspector } from 'node:inspector';
import { WebSocket } from 'ws';
import { waitUntil } from './wait-until.js';

/** A process under inspection. */
export interface ProcessInspector {
  /** `process.getActiveResourcesInfo()` of the process, counted by kind, the inspector's own left out. */
  activeResources(): Promise<Record<string, number>>;
  /** Heap in use after a forced collection, in bytes. */
  heapUsedBytes(): Promise<number>;
  close(): void;
}

/** Ports on which a process listens, by its sockets. */
function listeningPorts(pid: number): number[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const match = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`));
      if (match?.[1] !== undefined) inodes.add(match[1]);
    } catch {
      // The descriptor was closed between listing and reading.
    }
  }
  const ports: number[] = [];
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n').slice(1)) {
    const fields = line.trim().split(/\s+/);
    const listening = fields[3] === '0A';
    if (listening && inodes.has(fields[9] ?? ''))
      ports.push(Number.parseInt(fields[1]?.split(':')[1] ?? '', 16));
  }
  return ports;
}

/** Opens the inspector of a process. */
export async function inspectProcess(pid: number): Promise<ProcessInspector> {
  // By the signal this one would take Node's usual port, which somebody's debugger may have.
  if (pid === process.pid) openOwnInspector(0);
  else process.kill(pid, 'SIGUSR1');
  const port = await waitUntil(`process ${pid} opens its inspector`, () => listeningPorts(pid)[0]);
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as {
    webSocketDebuggerUrl: string;
  }[];
  const url = targets[0]?.webSocketDebuggerUrl;
  if (url === undefined) throw new Error(`process ${pid} has no inspector target`);
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  const open = new Map<number, (result: unknown) => void>();
  let sequence = 0;
  socket.on('message', (data) => {
    const reply = JSON.parse((data as Buffer).toString()) as { id?: number; result?: unknown };
    if (reply.id === undefined) return;
    open.get(reply.id)?.(reply.result);
    open.delete(reply.id);
  });
  const call = (method: string, params: object = {}): Promise<unknown> =>
    new Promise((resolve) => {
      sequence += 1;
      open.set(sequence, resolve);
      socket.send(JSON.stringify({ id: sequence, method, params }));
    });
  const evaluate = async (expression: string): Promise<unknown> => {
    const reply = (await call('Runtime.evaluate', { expression, returnByValue: true })) as {
      result: { value: unknown };
    };
    return reply.result.value;
  };
  return {
    async activeResources() {
      const kinds = (await evaluate('process.getActiveResourcesInfo()')) as string[];
      const counts: Record<string, number> = {};
      for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
    async heapUsedBytes() {
      await call('HeapProfiler.collectGarbage');
      await call('HeapProfiler.collectGarbage');
      return (await evaluate('process.memoryUsage().heapUsed')) as number;
    },
    close: () => socket.close(),
  };
}
