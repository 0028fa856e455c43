/**
 * The one error class of Troupe, and its wire form. Errors are classified once, nearest the cause;
 * whoever catches a TroupeError passes it on as it is.
 */
import { type ErrorClass, type ErrorReason, errorCatalogue, isErrorReason } from './error-catalogue.js';

/** What an error may carry besides its text. */
export interface TroupeErrorOptions {
  /** The error underneath; for operators, never sent to callers. */
  readonly cause?: unknown;
  /** Text for operators (logs), where it says more than callers should see. */
  readonly detail?: string;
  /** When a retry makes sense, in milliseconds from now. */
  readonly retryAfterMs?: number;
}

/**
 * An error with a closed class and a reason from the catalogue. `message` is the public text: it names the
 * field at fault and says what to do.
 */
export class TroupeError extends Error {
  override readonly name = 'TroupeError';
  readonly class: ErrorClass;
  readonly reason: ErrorReason;
  readonly detail: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: ErrorReason, message: string, options: TroupeErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.class = errorCatalogue[reason].class;
    this.detail = options.detail;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** HTTP status of the reason; also sent as `Nats-Service-Error-Code`. */
  get status(): number {
    return errorCatalogue[this.reason].status;
  }

  /** Whether another worker, or a later try, may succeed with the same request. */
  get retryable(): boolean {
    return errorCatalogue[this.reason].retryable;
  }
}

/** Body of an error answer (wire format): the OIP's `error` text, with class and reason beside it. */
export interface WireError {
  readonly error: string;
  readonly class: ErrorClass;
  readonly reason: string;
  readonly retry_after_ms?: number;
}

/** The public part of an error, as it is sent to callers. */
export function encodeError(error: TroupeError): WireError {
  return {
    error: error.message,
    class: error.class,
    reason: error.reason,
    ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: error.retryAfterMs }),
  };
}

/** Rebuilds an error from its wire form; an unknown reason of a newer sender becomes `internal.unexpected`. */
export function decodeError(wire: unknown): TroupeError {
  const body = (typeof wire === 'object' && wire !== null ? wire : {}) as Partial<WireError>;
  const message = typeof body.error === 'string' ? body.error : 'the answer is an error without a text';
  const reason = isErrorReason(body.reason) ? body.reason : 'internal.unexpected';
  return new TroupeError(reason, message, {
    ...(typeof body.retry_after_ms === 'number' ? { retryAfterMs: body.retry_after_ms } : {}),
  });
}

/** Whatever was thrown, as a TroupeError: as it is where it is one, else `reason` (default `internal.unexpected`). */
export function asTroupeError(thrown: unknown, reason: ErrorReason = 'internal.unexpected'): TroupeError {
  if (thrown instanceof TroupeError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new TroupeError(reason, message, { cause: thrown });
}
