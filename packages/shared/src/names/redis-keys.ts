/** Catalogue of Redis keys. One hash tag for all, so that scripts over several keys also run on a cluster. */

/** Keys of one Troupe. */
export interface RedisKeys {
  /** Hash: model name → model record (JSON). */
  readonly models: string;
  /** Hash: host name → wanted host settings (JSON). */
  readonly hostSettings: string;
  /** Counter: revision of the registry as a whole. */
  readonly revision: string;
  /** Stream: every change of the registry. */
  readonly audit: string;
  /** Hash: host name → lease (JSON with token and report). */
  readonly leases: string;
  /** Sorted set: host name by expiry in Redis milliseconds. */
  readonly leaseExpiries: string;
  /** Counter: fencing tokens, of hosts and leaders alike. */
  readonly fence: string;
  /** String with expiry: the leader lease (JSON). */
  readonly leader: string;
  /** Highest epoch that was ever given out. */
  readonly epoch: string;
  /** Hash: `<stream>:<sequence>` → poison strikes. */
  readonly strikes: string;
  /** Tried by the doctor; never there for longer than a second. */
  readonly trial: string;
}

/** The catalogue under a namespace (checked by `parseNamespace`). */
export function createRedisKeys(namespace: string): RedisKeys {
  const key = (name: string) => `{${namespace}}:${name}`;
  return {
    models: key('registry:models'),
    hostSettings: key('registry:hosts'),
    revision: key('registry:revision'),
    audit: key('registry:audit'),
    leases: key('leases'),
    leaseExpiries: key('leases:expiries'),
    fence: key('leases:fence'),
    leader: key('leader'),
    epoch: key('leader:epoch'),
    strikes: key('strikes'),
    trial: key('permission-trial'),
  };
}
