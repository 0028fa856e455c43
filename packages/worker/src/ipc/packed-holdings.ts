/**
 * The form in which holdings reports cross the channel between runner and host. They are by far the most frequent
 * message there, and JSON: names once for each consumer, then bare numbers.
 */
import type { HeldMessage, HoldingsReport, RunnerReport } from './runner-messages.js';

interface PackedConsumer {
  readonly stream: string;
  readonly consumer: string;
  /** Stream sequence, consumer sequence, delivery; one message after the other. */
  readonly taken: number[];
}

interface PackedStream {
  readonly stream: string;
  readonly released: number[];
  readonly renewed: number[];
}

/** A holdings report as it is sent. */
export interface PackedHoldings {
  readonly kind: 'packed_holdings';
  readonly consumers: readonly PackedConsumer[];
  readonly streams: readonly PackedStream[];
}

/** A report as the runner sends it. */
export function packReport(report: RunnerReport): RunnerReport | PackedHoldings {
  return report.kind === 'holdings' ? packHoldings(report) : report;
}

/** A report as the host reads it. */
export function unpackReport(message: RunnerReport | PackedHoldings): RunnerReport {
  return message.kind === 'packed_holdings' ? unpackHoldings(message) : message;
}

function packHoldings({ released, renewed, taken }: HoldingsReport): PackedHoldings {
  const consumers: PackedConsumer[] = [];
  const streams: PackedStream[] = [];
  for (const { consumer, consumerSequence, delivery, stream, streamSequence } of taken) {
    let packed = consumers.find((one) => one.stream === stream && one.consumer === consumer);
    if (packed === undefined) {
      packed = { stream, consumer, taken: [] };
      consumers.push(packed);
    }
    packed.taken.push(streamSequence, consumerSequence, delivery);
  }
  const streamOf = (stream: string): PackedStream => {
    let packed = streams.find((one) => one.stream === stream);
    if (packed === undefined) {
      packed = { stream, released: [], renewed: [] };
      streams.push(packed);
    }
    return packed;
  };
  for (const { stream, streamSequence } of released) streamOf(stream).released.push(streamSequence);
  for (const { stream, streamSequence } of renewed) streamOf(stream).renewed.push(streamSequence);
  return { kind: 'packed_holdings', consumers, streams };
}

function unpackHoldings({ consumers, streams }: PackedHoldings): HoldingsReport {
  const taken: HeldMessage[] = [];
  for (const { consumer, stream, taken: numbers } of consumers) {
    for (let index = 0; index + 2 < numbers.length; index += 3) {
      taken.push({
        stream,
        consumer,
        streamSequence: numbers[index] as number,
        consumerSequence: numbers[index + 1] as number,
        delivery: numbers[index + 2] as number,
      });
    }
  }
  const refs = (which: 'released' | 'renewed') =>
    streams.flatMap((one) => one[which].map((streamSequence) => ({ stream: one.stream, streamSequence })));
  return { kind: 'holdings', taken, released: refs('released'), renewed: refs('renewed') };
}
