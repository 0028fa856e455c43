/** What happens to workers, as events for people and the leader. Pure. */
import { EventKind } from '@troupe/shared';
import type { OutgoingEvent } from './event-outbox.js';
import type { Worker, WorkerNotice } from './worker-actor.js';

/** The events that a notice makes, without their source; each says how many like it were left out before. */
export function describeNotice(
  host: string,
  worker: Pick<Worker, 'model' | 'version' | 'device' | 'report'>,
  notice: WorkerNotice,
  leftOut = 0,
): Omit<OutgoingEvent, 'source'>[] {
  const events = describe(host, worker, notice);
  if (leftOut === 0) return events;
  return events.map(({ data, kind, text }) => ({
    kind,
    text: `${text} (${leftOut} more like it were left out)`,
    data: { ...data, leftOut },
  }));
}

function describe(
  host: string,
  worker: Pick<Worker, 'model' | 'version' | 'device' | 'report'>,
  notice: WorkerNotice,
): Omit<OutgoingEvent, 'source'>[] {
  const { model, version, device } = worker;
  const who = `${model} version ${version} on ${host} ${device}`;
  const about = { model, version, device };
  switch (notice.kind) {
    case 'state': {
      const { reason } = worker.report();
      const changed = {
        kind: EventKind.WorkerState,
        text: `${who} is ${notice.to}`,
        data: { ...about, from: notice.from, to: notice.to, reason },
      };
      if (notice.to !== 'fallback') return [changed];
      const text = `${who} cannot serve: ${reason ?? 'no reason is known'}`;
      return [changed, { kind: EventKind.WorkerFallback, text, data: { ...about, reason } }];
    }
    case 'stopped':
      return [{ kind: EventKind.WorkerState, text: `${who} has stopped`, data: { ...about, to: 'stopped' } }];
    case 'condemned': {
      const { atNs, cause, kind } = notice.verdict;
      const data = { ...about, kind, cause, atNs: String(atNs) };
      return [{ kind: EventKind.VersionCondemned, text: `${who} is condemned: ${cause}`, data }];
    }
    case 'flipped': {
      const { answeredNs, by, condemnedNs, to } = notice;
      const tookMs = Number(answeredNs - condemnedNs) / 1e6;
      const data = {
        ...about,
        servingVersion: to,
        by,
        condemnedNs: String(condemnedNs),
        answeredNs: String(answeredNs),
      };
      const text = `version ${to ?? '?'} answers for ${who} since ${tookMs.toFixed(1)} ms after it was condemned`;
      return [{ kind: EventKind.WorkerFlipped, text, data }];
    }
    case 'died': {
      const { reason, handedBack } = notice;
      const data = {
        ...about,
        runnerVersion: notice.version,
        reason,
        handedBack: handedBack.length,
        // By these its clients know which requests nobody has to send again.
        handedBackSequences: handedBack.map(({ streamSequence }) => streamSequence),
      };
      return [{ kind: EventKind.RunnerDied, text: `a runner of ${who} died: ${reason}`, data }];
    }
    case 'strike': {
      const { message, reason } = notice;
      const data = {
        ...about,
        stream: message.stream,
        sequence: message.streamSequence,
        delivery: message.delivery,
        reason,
      };
      return [
        { kind: EventKind.RequestStrike, text: `a runner of ${who} died of one request: ${reason}`, data },
      ];
    }
  }
}
