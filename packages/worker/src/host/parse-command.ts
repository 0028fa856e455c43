/**
 * Checks a command that came over NATS. The leader is of our own making, but anybody on the server may publish
 * here, and names become paths: what is not well-formed goes no further.
 */
import {
  type HostCommand,
  type HostCommandEnvelope,
  type ModelVersion,
  type Probation,
  parseModelName,
  parseVersion,
  type TrialRequest,
  TroupeError,
} from '@troupe/shared';

const digestPattern = /^[0-9a-f]{64}$/;

type Fields = Readonly<Record<string, unknown>>;

function refuse(what: string): TroupeError {
  return new TroupeError('request.arguments', `host command: ${what}`);
}

function parseObject(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw refuse(`${what} must be an object`);
}

function parseCount(value: unknown, what: string, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value;
  throw refuse(`${what} must be a whole number from ${min}`);
}

function parseText(value: unknown, what: string): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= 4_096) return value;
  throw refuse(`${what} must be a text`);
}

function parseDigest(value: unknown): string {
  if (typeof value === 'string' && digestPattern.test(value)) return value;
  throw refuse('digest must be a SHA-256 in 64 lower-case hex digits');
}

function parseModelVersion(value: unknown): ModelVersion {
  const fields = parseObject(value, 'version');
  parseVersion(fields.version);
  parseDigest(fields.digest);
  parseCount(fields.sizeBytes, 'sizeBytes', 0);
  const signature = parseObject(fields.signature, 'signature');
  if (!Array.isArray(signature.inputs) || !Array.isArray(signature.outputs)) {
    throw refuse('signature must list inputs and outputs');
  }
  parseObject(fields.batching, 'batching');
  parseObject(fields.limits, 'limits');
  if (!Array.isArray(fields.golden)) throw refuse('golden must be a list');
  return value as ModelVersion;
}

function parseProbation(value: unknown): Probation {
  const fields = parseObject(value, 'probation');
  return {
    standby: parseModelVersion(fields.standby),
    ...(fields.alone === true ? { alone: true } : {}),
    maxCrashes: parseCount(fields.maxCrashes, 'maxCrashes', 0),
  };
}

function parseTrial(value: unknown): TrialRequest {
  const fields = parseObject(value, 'trial');
  parseDigest(fields.digest);
  parseCount(fields.sizeBytes, 'sizeBytes', 0);
  parseObject(fields.batching, 'batching');
  parseObject(fields.limits, 'limits');
  if (!Array.isArray(fields.golden)) throw refuse('golden must be a list');
  return value as TrialRequest;
}

function parseCommand(value: unknown): HostCommand {
  const fields = parseObject(value, 'command');
  const target = () => ({
    model: parseModelName(fields.model),
    version: parseVersion(fields.version),
    device: parseText(fields.device, 'device'),
  });
  switch (fields.kind) {
    case 'assign': {
      const assignment = parseObject(fields.assignment, 'assignment');
      return {
        kind: 'assign',
        assignment: {
          model: parseModelName(assignment.model),
          version: parseModelVersion(assignment.version),
          device: parseText(assignment.device, 'device'),
          credits: parseCount(assignment.credits, 'credits', 1),
          ...(assignment.probation === undefined ? {} : { probation: parseProbation(assignment.probation) }),
          ...(assignment.light === undefined ? {} : { light: parseModelVersion(assignment.light) }),
        },
      };
    }
    case 'confirm':
      return { kind: 'confirm', ...target() };
    case 'condemn':
      return { kind: 'condemn', ...target(), cause: parseText(fields.cause, 'cause') };
    case 'activate':
      return { kind: 'activate', ...target() };
    case 'credits':
      return { kind: 'credits', ...target(), credits: parseCount(fields.credits, 'credits', 1) };
    case 'drain':
      return { kind: 'drain', ...target(), cause: parseText(fields.cause, 'cause') };
    case 'scale':
      return { kind: 'scale', slots: parseCount(fields.slots, 'slots', 0) };
    case 'prefetch':
      return {
        kind: 'prefetch',
        digest: parseDigest(fields.digest),
        sizeBytes: parseCount(fields.sizeBytes, 'sizeBytes', 0),
      };
    case 'trial':
      return { kind: 'trial', trial: parseTrial(fields.trial) };
    default:
      throw refuse('this kind of command is not known');
  }
}

/** The checked envelope. Throws `request.arguments`, `model.name` or `request.name`. */
export function parseHostCommand(value: unknown): HostCommandEnvelope {
  const fields = parseObject(value, 'envelope');
  const command = parseCommand(fields.command);
  if (fields.epoch === undefined) {
    if (command.kind === 'trial') return { command };
    throw refuse(`'${command.kind}' needs the leader's epoch`);
  }
  return { epoch: parseCount(fields.epoch, 'epoch', 0), command };
}
