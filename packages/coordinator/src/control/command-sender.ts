/**
 * Sends planned commands to hosts: one batch for each host at a time, so that a host that does not answer holds up
 * nobody else. The only place of the control plane that changes a host.
 */
import { decodeError, type HostCommand, type Log } from '@troupe/shared';
import { type NatsLink, sendHostCommand } from '@troupe/shared/nats';
import type { CommandLedger } from './command-ledger.js';
import type { PlannedCommand } from './plan.js';

const commandTimeoutMs = 5_000;
/** Hosts that are talked to at once; the others have their turn at the next plan. */
const maxHosts = 32;

export interface CommandSenderOptions {
  readonly link: NatsLink;
  readonly ledger: CommandLedger;
  /** The epoch at this moment, `undefined` once we lead no more: then nothing is sent. */
  readonly epoch: () => number | undefined;
  /** Called when a host has answered: what it was told may allow the next step. */
  readonly onProgress: () => void;
  readonly log: Log;
}

export interface CommandSender {
  /** Begins to send; returns at once. */
  send(commands: readonly PlannedCommand[]): void;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

/** Creates the sender of one term as leader. */
export function createCommandSender(options: CommandSenderOptions): CommandSender {
  const { link, ledger, log } = options;
  const busy = new Map<string, Promise<void>>();

  async function sendOne(host: string, command: HostCommand): Promise<boolean> {
    const epoch = options.epoch();
    if (epoch === undefined || !link.isConnected()) return false;
    if (!ledger.trySend(host, command)) return false;
    try {
      const reply = await sendHostCommand(link, host, { epoch, command }, commandTimeoutMs);
      if (reply.ok) {
        ledger.accepted(host, command);
        log.debug({ host, command: describe(command) }, 'command accepted');
        return true;
      }
      const error = decodeError(reply.error);
      ledger.refused(host, command, error.reason);
      log.warn({ host, command: describe(command), reason: error.reason, error: error.message }, 'refused');
    } catch (error) {
      // The host is on its way out, or we are: the lease says which, and the next plan repeats it.
      log.warn({ host, command: describe(command), err: error }, 'command not answered');
    }
    return false;
  }

  async function sendAll(host: string, commands: readonly HostCommand[]): Promise<void> {
    const outcomes = await Promise.all(commands.map((command) => sendOne(host, command)));
    busy.delete(host);
    if (outcomes.includes(true)) options.onProgress();
  }

  return {
    send(commands) {
      const byHost = new Map<string, HostCommand[]>();
      for (const { host, command } of commands) {
        const list = byHost.get(host);
        if (list === undefined) byHost.set(host, [command]);
        else list.push(command);
      }
      for (const [host, list] of byHost) {
        if (busy.has(host) || busy.size >= maxHosts) continue;
        busy.set(host, sendAll(host, list));
      }
    },
    async idle() {
      await Promise.all(busy.values());
    },
  };
}

/** A command in few words, for the log: an assignment holds a whole version. */
function describe(command: HostCommand): string {
  if (command.kind === 'scale') return `scale to ${command.slots}`;
  if (command.kind === 'trial' || command.kind === 'prefetch') return command.kind;
  const at = command.kind === 'assign' ? command.assignment : command;
  const version = command.kind === 'assign' ? command.assignment.version.version : command.version;
  return `${command.kind} ${at.model} version ${version} on ${at.device}`;
}
