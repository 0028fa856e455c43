/**
 * One connection to Redis under both stores: every call is answered within the command timeout, or rejects with
 * `redis.unreachable`, and no write runs later than that (S1, S2 in `redis-script.ts`).
 * Made by `connectRedis`; the only file that runs ioredis. Knows nothing of leases or models.
 */
import { Redis, type RedisOptions } from 'ioredis';
import { untrustedCertificate } from '../config/server-access.js';
import { TroupeError } from '../errors/troupe-error.js';
import type { RedisKeys } from '../names/redis-keys.js';
import type { Log } from '../observability/log.js';
import { createRedactor, type RedisAddress } from './redis-address.js';
import { parseRedisTime, RedisClock } from './redis-clock.js';
import { classifyRedisError, isUnauthorized, redisErrorText } from './redis-error.js';
import { lateMark, type RedisScript } from './redis-script.js';

/** Longest pause between two tries to connect: short beside a lease, since a lease waits for it. */
const retryCapMs = 500;
/** How long a connection that we end may take to close, before its socket is destroyed. */
const disconnectTimeoutMs = 200;

export interface RedisConnectionSettings {
  readonly address: RedisAddress;
  /** PEM of the authority to trust, for TLS; default those that Node knows. */
  readonly ca?: string;
  readonly keys: RedisKeys;
  /** Name of the connection in CLIENT LIST. */
  readonly name: string;
  readonly commandTimeoutMs: number;
  readonly log: Log | undefined;
  /** Looks at a server that came back: it may have been restarted with other settings. */
  readonly onReturn: (connection: RedisConnection) => Promise<void>;
}

/** What the stores need of Redis. */
export interface RedisConnection {
  /** The address without credentials. */
  readonly address: string;
  readonly keys: RedisKeys;
  readonly commandTimeoutMs: number;
  /** Whether a call could be answered now. */
  readonly connected: boolean;
  /** Runs a script. Writes get their deadline here. Throws `redis.unreachable`, `redis.unauthorized`. */
  run(script: RedisScript, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Runs a command that only reads. */
  read(command: string, ...args: (string | number)[]): Promise<unknown>;
  /** Takes part in the connection; it closes when all who did have let go. */
  hold(): () => Promise<void>;
  /** Ends the connection, whoever holds it; calls under way are answered first, within the command timeout. */
  close(): Promise<void>;
}

function redisOptions(settings: RedisConnectionSettings) {
  const { address, commandTimeoutMs } = settings;
  return {
    host: address.host,
    port: address.port,
    db: address.db,
    ...(address.username === undefined ? {} : { username: address.username }),
    ...(address.password === undefined ? {} : { password: address.password }),
    ...(address.tls ? { tls: settings.ca === undefined ? {} : { ca: settings.ca } } : {}),
    lazyConnect: true,
    connectionName: settings.name,
    disableClientInfo: true,
    protocol: 2,
    // A queued renewal or campaign would be sent when the world has moved on.
    enableOfflineQueue: false,
    // S1. Without it, a script whose connection dropped runs twice.
    autoResendUnfulfilledCommands: false,
    // At 0 each lost connection rejects what was under way at once. At 1 or more, together with the line above,
    // ioredis 6.0.0 forgets those promises and they never settle.
    maxRetriesPerRequest: 0,
    // For the handshake. Calls of ours have their own limit, which must be the first to strike (S2).
    commandTimeout: 2 * commandTimeoutMs,
    // A frozen server keeps its connections: without this one they would pile up commands that nobody waits for.
    socketTimeout: 2 * commandTimeoutMs,
    connectTimeout: 2 * commandTimeoutMs,
    disconnectTimeout: disconnectTimeoutMs,
    retryStrategy: (times) => Math.min(25 * 2 ** Math.min(times, 10), retryCapMs) + Math.random() * 50,
  } satisfies RedisOptions;
}

/** The connection over ioredis. `open()` once, then as `RedisConnection` says. */
export class IoredisConnection implements RedisConnection {
  readonly address: string;
  readonly keys: RedisKeys;
  readonly commandTimeoutMs: number;
  readonly #settings: RedisConnectionSettings;
  readonly #redis: Redis;
  readonly #clock = new RedisClock();
  readonly #redact: (text: string) => string;
  readonly #defined = new Set<string>();
  #holders = 0;
  #opened = false;
  #up = false;
  #closing: Promise<void> | undefined;
  #lastTrouble: string | undefined;

  constructor(settings: RedisConnectionSettings) {
    this.#settings = settings;
    this.address = settings.address.text;
    this.keys = settings.keys;
    this.commandTimeoutMs = settings.commandTimeoutMs;
    this.#redact = createRedactor(settings.address.password);
    this.#redis = new Redis(redisOptions(settings));
    this.#redis.on('error', (error: unknown) => this.#onError(error));
    this.#redis.on('close', () => this.#onClose());
    this.#redis.on('ready', () => this.#onReady());
  }

  get connected(): boolean {
    return this.#closing === undefined && this.#redis.status === 'ready';
  }

  /** Waits until Redis takes commands. Throws `redis.unreachable` after `limitMs`, `redis.unauthorized` at once. */
  async open(limitMs: number, signal?: AbortSignal): Promise<void> {
    const redis = this.#redis;
    let timer: NodeJS.Timeout | undefined;
    let onReady = () => {};
    let onError: (error: unknown) => void = () => {};
    let giveUp = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        onReady = resolve;
        onError = (error) => {
          if (isUnauthorized(error) || untrustedCertificate(error) !== undefined)
            reject(this.#classify(error));
        };
        timer = setTimeout(
          () => reject(this.#unreachable(`did not take connections within ${limitMs} ms`)),
          limitMs,
        );
        giveUp = () => reject(this.#unreachable('was not waited for any longer'));
        signal?.addEventListener('abort', giveUp);
        redis.once('ready', onReady);
        redis.on('error', onError);
        // Failed tries come as 'error' events, and the retry strategy goes on.
        redis.connect().catch(() => {});
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      redis.off('ready', onReady);
      redis.off('error', onError);
    }
    this.#opened = true;
    this.#clock.calibrate(parseRedisTime(await this.read('TIME')));
  }

  async run(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const until = performance.now() + this.commandTimeoutMs;
    if (!this.#defined.has(script.name)) {
      this.#redis.defineCommand(script.name, { lua: script.lua, numberOfKeys: script.keyCount });
      this.#defined.add(script.name);
    }
    const send = (all: readonly (string | number)[]) => {
      const commands = this.#redis as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return this.#answer(() => commands[script.name]?.(...keys, ...all), until);
    };
    if (!script.writes) return send(args);
    if (this.#clock.stale) this.#refreshClock();
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      // No estimate only where the server came back a moment ago: ask it, within the same limit.
      if (this.#clock.estimate(0) === undefined) {
        this.#clock.calibrate(parseRedisTime(await this.#answer(() => this.#redis.time(), until)));
      }
      const lastMoment = this.#clock.estimate(until - performance.now()) ?? 0;
      const reply = await send([lastMoment, ...args]);
      if (!Array.isArray(reply) || reply[0] !== lateMark) return reply;
      // Refused, so not run: Redis' clock was set forward, or our estimate was too far behind.
      this.#clock.calibrate(Number(reply[1]));
    }
    throw this.#unreachable(`took up a write only after its ${this.commandTimeoutMs} ms had passed`);
  }

  read(command: string, ...args: (string | number)[]): Promise<unknown> {
    const until = performance.now() + this.commandTimeoutMs;
    return this.#answer(() => this.#redis.call(command, ...args), until);
  }

  hold(): () => Promise<void> {
    this.#holders += 1;
    let held = true;
    return async () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      if (this.#holders === 0) await this.close();
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /** Sends a command and settles by `until`, whatever ioredis does with its own promise. */
  async #answer(send: () => Promise<unknown> | undefined, until: number): Promise<unknown> {
    if (this.#closing !== undefined)
      throw this.#unreachable('is not used any more: the connection was closed');
    if (this.#redis.status !== 'ready') throw this.#unreachable('is not connected');
    let timer: NodeJS.Timeout | undefined;
    const sent = (async () => send())();
    const expired = new Promise<never>((_, reject) => {
      const check = () => {
        const leftMs = until - performance.now();
        // A timer may fire early, by as much as its turn of the loop had taken before; S2 needs the whole time.
        if (leftMs > 0) timer = setTimeout(check, leftMs);
        else reject(this.#unreachable(`did not answer within ${this.commandTimeoutMs} ms`));
      };
      check();
    });
    try {
      return await Promise.race([sent, expired]);
    } catch (thrown) {
      throw this.#classify(thrown);
    } finally {
      clearTimeout(timer);
    }
  }

  #classify(thrown: unknown): TroupeError {
    return classifyRedisError(thrown, this.address, this.#redact);
  }

  #unreachable(what: string): TroupeError {
    const trouble = this.#redis.status === 'ready' ? undefined : this.#lastTrouble;
    const because = trouble === undefined ? '' : ` (${trouble})`;
    return new TroupeError('redis.unreachable', `Redis at ${this.address} ${what}${because}`);
  }

  /** Beside the call that found the estimate old; its own failure is that of the connection, which others report. */
  #refreshClock(): void {
    const until = performance.now() + this.commandTimeoutMs;
    this.#answer(() => this.#redis.time(), until).then(
      (reply) => this.#clock.calibrate(parseRedisTime(reply)),
      () => {},
    );
  }

  #onError(error: unknown): void {
    const text = redisErrorText(error, this.#redact);
    // One line for a trouble, however often the retries meet it.
    if (text !== this.#lastTrouble && this.#opened && this.#closing === undefined) {
      this.#settings.log?.warn({ address: this.address, trouble: text }, 'redis connection in trouble');
    }
    this.#lastTrouble = text;
  }

  #onClose(): void {
    this.#clock.forget(); // the next connection may be to another server
    if (!this.#up || this.#closing !== undefined) return;
    this.#up = false;
    this.#settings.log?.warn({ address: this.address }, 'redis connection lost');
  }

  #onReady(): void {
    this.#lastTrouble = undefined;
    this.#up = true;
    if (!this.#opened) return;
    this.#settings.log?.info({ address: this.address }, 'redis connection is back');
    this.#refreshClock();
    this.#settings.onReturn(this).catch((thrown: unknown) => {
      this.#settings.log?.error(
        { address: this.address, trouble: redisErrorText(thrown, this.#redact) },
        'redis came back unfit',
      );
    });
  }

  async #shutDown(): Promise<void> {
    const redis = this.#redis;
    if (redis.status === 'ready') {
      // QUIT is answered after everything before it; a server that does not answer is left alone, which rejects it.
      const timer = setTimeout(() => redis.disconnect(), this.commandTimeoutMs);
      await redis.quit().catch(() => {});
      clearTimeout(timer);
    }
    // Stops the retries. A socket whose other side says nothing is destroyed after `disconnectTimeout`.
    if (redis.status !== 'end') redis.disconnect();
  }
}
