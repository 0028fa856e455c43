/** Names on NATS that the bare contestants and their doors share. */

/** Where the responder of `nats` listens. */
export const echoSubject = 'bench.echo';

/** The lane of `jetstream`. */
export const bareLane = {
  stream: 'BENCH',
  subject: 'bench.work',
  consumer: 'bench',
  replyHeader: 'Bench-Reply',
} as const;
