/**
 * What the leader told hosts that their reports do not show yet. Reports lag by up to a third of a lease TTL;
 * without this memory a plan made in between would place the same replica somewhere else. Pure but for its clock.
 */
import {
  type ErrorReason,
  estimateMemory,
  type HostCommand,
  type HostLease,
  type WorkerReport,
} from '@troupe/shared';
import { type Position, type VersionRef, workerKey } from './worker-key.js';

/** How long an accepted order is believed without a report that shows it. */
const believeTtls = 2;
/** The same command to the same host is repeated no sooner, in milliseconds. */
const repeatMs = 1_000;
/** Settings that a host may keep back for reasons of its own are repeated more slowly. */
const repeatSettingMs = 30_000;
/** A place where a host refused a worker is left alone for this long. */
const refusedMs = 10_000;
/** Room in memory comes back in a moment. */
const fullMs = 500;

type Expectation =
  | { readonly kind: 'assigned'; readonly report: WorkerReport; readonly untilMs: number }
  | { readonly kind: 'drained'; readonly untilMs: number };

export interface CommandLedger {
  /** The leases as they will look once accepted orders show in them. */
  overlay(leases: readonly HostLease[]): HostLease[];
  /** Whether a command may be sent now, or was sent a moment ago; counts as sending it. */
  trySend(host: string, command: HostCommand): boolean;
  accepted(host: string, command: HostCommand): void;
  refused(host: string, command: HostCommand, reason: ErrorReason): void;
  /** Worker keys that their host refused lately. */
  refusedKeys(): Set<string>;
  /** Forgets a host that is gone, or that came back as a new process. */
  forgetHost(host: string): void;
}

/** Creates the ledger of one term as leader. */
export function createCommandLedger(leaseTtlMs: number, now: () => number): CommandLedger {
  const expectations = new Map<string, Map<string, Expectation>>();
  const sent = new Map<string, Map<string, number>>();
  const refusals = new Map<string, Map<string, number>>();

  const of = <T>(table: Map<string, Map<string, T>>, host: string): Map<string, T> => {
    let entries = table.get(host);
    if (entries === undefined) {
      entries = new Map();
      table.set(host, entries);
    }
    return entries;
  };

  function overlayHost(lease: HostLease): HostLease {
    const expected = expectations.get(lease.host);
    if (expected === undefined || expected.size === 0) return lease;
    const workers: WorkerReport[] = [];
    const reported = new Set<string>();
    for (const worker of lease.report.workers) {
      const key = workerKey({ host: lease.host, device: worker.device }, worker);
      reported.add(key);
      const expectation = expected.get(key);
      if (expectation?.kind === 'assigned') expected.delete(key);
      const drained = expectation?.kind === 'drained' && expectation.untilMs > now();
      workers.push(drained ? { ...worker, state: 'draining' } : worker);
    }
    for (const [key, expectation] of expected) {
      const over = expectation.untilMs <= now();
      if (over || (expectation.kind === 'drained' && !reported.has(key))) expected.delete(key);
      else if (expectation.kind === 'assigned') workers.push(expectation.report);
    }
    return { ...lease, report: { ...lease.report, workers } };
  }

  return {
    overlay: (leases) => leases.map(overlayHost),
    trySend(host, command) {
      const key = commandKey(host, command);
      const times = of(sent, host);
      const last = times.get(key);
      const slow = command.kind === 'credits' || command.kind === 'scale';
      if (last !== undefined && now() - last < (slow ? repeatSettingMs : repeatMs)) return false;
      times.set(key, now());
      return true;
    },
    accepted(host, command) {
      const untilMs = now() + believeTtls * leaseTtlMs;
      const target = targetOf(host, command);
      if (target === undefined) return;
      of(refusals, host).delete(target);
      if (command.kind === 'assign') {
        const { model, version, device, credits } = command.assignment;
        const memoryChargedBytes = estimateMemory(version, device);
        const report = {
          ...loadingWorker({ model, version: version.version }, device, credits),
          memoryChargedBytes,
        };
        of(expectations, host).set(target, { kind: 'assigned', report, untilMs });
      } else if (command.kind === 'drain') of(expectations, host).set(target, { kind: 'drained', untilMs });
    },
    refused(host, command, reason) {
      const target = targetOf(host, command);
      if (target !== undefined && command.kind === 'assign')
        of(refusals, host).set(target, now() + (reason === 'placement.no_memory' ? fullMs : refusedMs));
    },
    refusedKeys() {
      const keys = new Set<string>();
      for (const table of refusals.values()) {
        for (const [key, untilMs] of table) {
          if (untilMs > now()) keys.add(key);
          else table.delete(key);
        }
      }
      return keys;
    },
    forgetHost(host) {
      expectations.delete(host);
      sent.delete(host);
      refusals.delete(host);
    },
  };
}

function loadingWorker(ref: VersionRef, device: string, credits: number): WorkerReport {
  return {
    ...ref,
    device,
    state: 'loading',
    credits,
    inFlight: 0,
    natsConnected: true,
    completed: 0,
    failed: 0,
    batches: 0,
    rows: 0,
    crashes: 0,
  };
}

/** Key of the worker that a command is about. */
function targetOf(host: string, command: HostCommand): string | undefined {
  if (command.kind === 'scale' || command.kind === 'trial' || command.kind === 'prefetch') return undefined;
  const at = command.kind === 'assign' ? command.assignment : command;
  const version = command.kind === 'assign' ? command.assignment.version.version : command.version;
  const position: Position = { host, device: at.device };
  return workerKey(position, { model: at.model, version });
}

function commandKey(host: string, command: HostCommand): string {
  const value =
    command.kind === 'scale' ? command.slots : command.kind === 'credits' ? command.credits : undefined;
  return `${command.kind}:${targetOf(host, command) ?? ''}:${value ?? ''}`;
}
