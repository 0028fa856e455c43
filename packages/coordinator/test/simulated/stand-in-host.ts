/**
 * A host for tests of the coordinator: speaks lease and commands as a real one does, and its workers pull and answer
 * real requests, but it loads no model: an answer names the version and the host that gave it.
 */
import {
  asTroupeError,
  type ClusterSettings,
  EventKind,
  encodeError,
  type HostCommand,
  type HostCommandEnvelope,
  type HostCommandReply,
  type LeaseStore,
  TroupeError,
  type WorkerReport,
  type WorkerState,
} from '@troupe/shared';
import {
  createWorkPuller,
  type NatsLink,
  publishEvent,
  serveHostCommands,
  type WorkMessage,
  type WorkPuller,
} from '@troupe/shared/nats';
import { hostReport, modelVersion, workerReport } from './registry-fixture.js';

interface StandInWorker {
  readonly model: string;
  readonly version: number;
  readonly device: string;
  credits: number;
  state: WorkerState;
  puller: WorkPuller | undefined;
}

export interface StandInHostOptions {
  readonly name: string;
  readonly link: NatsLink;
  readonly leases: LeaseStore;
  readonly settings: ClusterSettings;
  readonly devices?: readonly string[];
  readonly slots?: number;
}

export class StandInHost {
  readonly name: string;
  /** Every command that came, trials included. */
  readonly commands: HostCommand[] = [];
  /** Refuses trials with this where set. */
  trialRefusal: TroupeError | undefined;
  /** Called with each trial, before it is answered. */
  onTrial: () => void = () => {};
  /** Digests whose workers never leave `loading`. */
  readonly stuck = new Set<string>();
  /** Does not answer requests while set: they wait. */
  holding = false;
  readonly held: WorkMessage[] = [];
  highestEpoch = 0;
  slots: number;
  readonly #options: StandInHostOptions;
  readonly #devices: readonly string[];
  readonly #workers = new Map<string, StandInWorker>();
  #token = 0;
  #stopping = false;
  #dead = false;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #stopCommands: () => Promise<void> = async () => undefined;

  constructor(options: StandInHostOptions) {
    this.#options = options;
    this.name = options.name;
    this.#devices = options.devices ?? ['cpu:0', 'cpu:1'];
    this.slots = options.slots ?? 8;
  }

  get workers(): { model: string; version: number; device: string; state: WorkerState }[] {
    return [...this.#workers.values()].map(({ model, version, device, state }) => ({
      model,
      version,
      device,
      state,
    }));
  }

  async start(): Promise<void> {
    const { link, leases, settings } = this.#options;
    const { token, epoch } = await leases.registerHost(this.name, settings.leaseTtlMs, this.#report());
    this.#token = token;
    this.highestEpoch = epoch;
    this.#stopCommands = serveHostCommands(link, this.name, (envelope) => this.#handle(envelope));
    this.#timer = setInterval(() => this.#renew(), settings.leaseTtlMs / 4);
    this.#tell(EventKind.HostUp, `host ${this.name} is up`);
  }

  /** As `kill -9`: it renews, answers and tells nothing more. */
  async kill(): Promise<void> {
    this.#dead = true;
    clearInterval(this.#timer);
    await this.#renewing;
    await this.#stopCommands();
    await Promise.all([...this.#workers.values()].map(async (worker) => worker.puller?.stop()));
    this.#workers.clear();
  }

  /** Says that it stops, and drains when it is told that its workers are replaced (here: at once when asked to). */
  announceStop(): Promise<void> {
    this.#stopping = true;
    this.#renew();
    this.#tell(EventKind.HostStopping, `host ${this.name} is stopping`);
    return this.#renewing;
  }

  async stop(): Promise<void> {
    if (this.#dead) return;
    await this.kill();
    await this.#options.leases.releaseHost(this.name, this.#token).catch(() => false);
  }

  #report() {
    const workers = [...this.#workers.values()].map((worker): WorkerReport => {
      const { servingVersion, ...rest } = workerReport(worker.model, worker.version, worker.device);
      return {
        ...rest,
        state: worker.state,
        credits: worker.credits,
        ...(worker.state === 'serving' && servingVersion !== undefined ? { servingVersion } : {}),
      };
    });
    return hostReport(this.name, {
      devices: this.#devices,
      slots: this.slots,
      workers,
      stopping: this.#stopping,
      epoch: this.highestEpoch,
    });
  }

  #renew(): void {
    this.#renewing = this.#renewing.then(async () => {
      if (this.#dead) return;
      const { leases, settings } = this.#options;
      try {
        const outcome = await leases.renewHost(this.name, this.#token, settings.leaseTtlMs, this.#report());
        if (outcome.kind === 'renewed') this.highestEpoch = Math.max(this.highestEpoch, outcome.epoch);
      } catch {
        // Redis is away: the next renewal finds it again.
      }
    });
  }

  #tell(kind: EventKind, text: string): void {
    // After the renewal, so that who hears it reads the new report.
    void this.#renewing.then(() => {
      publishEvent(this.#options.link, {
        kind,
        source: `host/${this.name}`,
        text,
        data: { host: this.name },
      });
    });
  }

  #changed(worker: StandInWorker): void {
    this.#renew();
    this.#tell(EventKind.WorkerState, `${worker.model} version ${worker.version} is ${worker.state}`);
  }

  async #handle({ epoch, command }: HostCommandEnvelope): Promise<HostCommandReply> {
    this.commands.push(command);
    try {
      if (epoch !== undefined) {
        if (epoch < this.highestEpoch) throw new TroupeError('epoch.stale', `epoch ${epoch} is stale`);
        this.highestEpoch = epoch;
      }
      if (command.kind === 'trial') {
        this.onTrial();
        if (this.trialRefusal !== undefined) throw this.trialRefusal;
        const { signature, batchable, batching } = modelVersion(1);
        return { ok: true, epoch: this.highestEpoch, trial: { signature, batchable, batching } };
      }
      this.#apply(command);
      return { ok: true, epoch: this.highestEpoch };
    } catch (thrown) {
      return { ok: false, error: encodeError(asTroupeError(thrown)) };
    }
  }

  #apply(command: Exclude<HostCommand, { kind: 'trial' }>): void {
    if (command.kind === 'scale') {
      this.slots = command.slots;
      this.#renew();
      this.#tell(EventKind.HostScaled, `host ${this.name} has ${command.slots} slots`);
      return;
    }
    if (command.kind === 'assign') {
      const { model, version, device, credits } = command.assignment;
      const key = `${model}/${version.version}/${device}`;
      if (this.#workers.has(key)) return;
      if (this.#workers.size >= this.slots) throw new TroupeError('placement.no_slot', 'no free slot');
      const worker: StandInWorker = {
        model,
        version: version.version,
        device,
        credits,
        state: 'loading',
        puller: undefined,
      };
      this.#workers.set(key, worker);
      if (!this.stuck.has(version.digest)) {
        setImmediate(() => {
          worker.state = 'warm';
          this.#changed(worker);
        });
      }
      this.#changed(worker);
      return;
    }
    if (command.kind === 'prefetch') return;
    const key = `${command.model}/${command.version}/${command.device}`;
    const worker = this.#workers.get(key);
    if (worker === undefined) {
      if (command.kind === 'drain') return;
      throw new TroupeError('model.version_unavailable', `there is no worker ${key}`);
    }
    if (command.kind === 'credits') worker.credits = command.credits;
    if (command.kind === 'activate' && worker.state === 'warm') this.#activate(worker);
    if (command.kind === 'drain' && worker.state !== 'draining') {
      worker.state = 'draining';
      const gone = async () => {
        await worker.puller?.stop();
        this.#workers.delete(key);
        this.#changed(worker);
      };
      gone().catch(() => undefined); // the connection ended first
    }
    this.#changed(worker);
  }

  #activate(worker: StandInWorker): void {
    const { link, settings } = this.#options;
    worker.state = 'serving';
    const puller = createWorkPuller(link, {
      model: worker.model,
      version: worker.version,
      limits: settings,
      freeSlots: () => worker.credits,
      onMessage: (message) => {
        if (this.holding) this.held.push(message);
        else this.#answer(puller, worker, message);
      },
      onError: () => undefined,
    });
    worker.puller = puller;
    puller.start();
  }

  #answer(puller: WorkPuller, worker: StandInWorker, message: WorkMessage): void {
    if (message.budgetMs <= 0) {
      puller.answer(message, new TroupeError('request.deadline', 'the budget is spent'));
      return;
    }
    const answer = {
      model_name: worker.model,
      model_version: String(worker.version),
      id: message.requestId,
      outputs: [],
      host: this.name,
      pinned: message.pinned,
      budget_ms: message.budgetMs,
    };
    puller.answer(message, { payload: Buffer.from(JSON.stringify(answer)), jsonLength: undefined });
  }
}
