/** Commands that bring the placed workers of one version on their way, and keep them as they should be. Pure; for `plan.ts`. */
import type { Assignment, HostCommand, ModelRecord, ModelVersion, WorkerReport } from '@troupe/shared';
import { answers } from './observed-host.js';
import type { Placement, TargetWorker, WantedVersion } from './placement-plan.js';

interface AddressedCommand {
  readonly host: string;
  readonly command: HostCommand;
}

/** Assigns what is missing, in waves where a rollout brings it, and keeps what is there. */
export function bringUp(
  { targets, wanted }: Placement,
  model: ModelRecord | undefined,
  credits: number,
): AddressedCommand[] {
  const commands: AddressedCommand[] = [];
  const light = lightVariant(model, wanted.version);
  const assign = (target: TargetWorker) => {
    const assignment = assignmentOf(wanted, target.device, credits, light);
    commands.push({ host: target.host, command: { kind: 'assign', assignment } });
  };
  const loading = targets.filter(({ existing }) => existing !== undefined && !answers(existing)).length;
  let room = (wanted.role?.waveSize ?? Number.POSITIVE_INFINITY) - loading;
  for (const target of targets) {
    const { existing } = target;
    if (existing === undefined) {
      if (room <= 0) continue;
      room -= 1;
      assign(target);
      continue;
    }
    // It was there before its rollout began: a repeated assignment puts it on probation.
    if (mustProve(wanted, existing)) assign(target);
    commands.push(...keep(wanted, target, existing, credits));
  }
  return commands;
}

function assignmentOf(
  { content, model, role }: WantedVersion,
  device: string,
  credits: number,
  light: ModelVersion | undefined,
): Assignment {
  const probation = role?.probation;
  return {
    model,
    version: content,
    device,
    credits,
    ...(probation === undefined ? {} : { probation }),
    ...(light === undefined ? {} : { light }),
  };
}

function mustProve({ role }: WantedVersion, { condemned, probation, state }: WorkerReport): boolean {
  return (
    role?.probation !== undefined && probation !== true && condemned === undefined && state !== 'loading'
  );
}

/** The version labelled `light`, for where nothing else can answer for this one. */
function lightVariant(model: ModelRecord | undefined, version: number): ModelVersion | undefined {
  const light = model?.labels.light;
  if (model === undefined || light === undefined || light === version) return undefined;
  const content = model.versions[String(light)];
  return content?.condemned === undefined ? content : undefined;
}

function keep(
  { model, role, version }: WantedVersion,
  { device, host }: TargetWorker,
  existing: WorkerReport,
  credits: number,
): AddressedCommand[] {
  const commands: HostCommand[] = [];
  if (existing.probation === true && role?.probation === undefined && existing.condemned === undefined) {
    commands.push({ kind: 'confirm', model, version, device });
  }
  if (existing.state === 'warm') commands.push({ kind: 'activate', model, device, version });
  if (existing.credits !== credits) commands.push({ kind: 'credits', model, version, device, credits });
  return commands.map((command) => ({ host, command }));
}
