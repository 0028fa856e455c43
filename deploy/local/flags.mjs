/**
 * Owns the flags of `npm start`: from the command line (`npm start -- --once`), and from npm's environment, because
 * `npm start --once` without the two dashes reaches us only as `npm_config_once`. Pure; called by launch.mjs.
 */

/**
 * @typedef {object} LaunchOptions
 * @property {boolean} once end after the proof
 * @property {boolean} json one line of JSON on standard output, all else on standard error
 * @property {boolean} gpu serve on this machine's GPUs
 * @property {boolean} yes install by sudo without a question
 * @property {number | undefined} natsPort fixed port of our own NATS
 * @property {number | undefined} redisPort fixed port of our own Redis
 */
/**
 * @typedef {{ kind: 'run', options: LaunchOptions } | { kind: 'help' } | { kind: 'wrong', message: string }} ParsedFlags
 */

export const helpText = `Starts Troupe's local cluster: npm start -- [flags]

  --once            end after the proof, with exit code 0 where it held
  --json            one line of JSON on standard output once ready
                    (with: npm start --silent -- --json)
  --gpu             fetch ONNX Runtime's CUDA provider once, and serve on the GPUs
                    (Linux on x64; CUDA 12 and cuDNN 9 come from the system)
  --yes             install missing servers by sudo apt-get without asking
  --nats-port N     port of the cluster's own NATS (default: 4222 or the next free)
  --redis-port N    port of the cluster's own Redis (default: 6379 or the next free)
  --help            this text

NATS_URL and REDIS_URL, where set, name servers to use in place of our own.
TROUPE_NAMESPACE keeps several Troupes apart on the same servers.
`;

const switches = /** @type {const} */ (['once', 'json', 'gpu', 'yes', 'help']);
const ports = /** @type {const} */ (['nats-port', 'redis-port']);

/**
 * @param {readonly string[]} argv arguments behind the script's name
 * @param {Readonly<Record<string, string | undefined>>} env
 * @returns {ParsedFlags}
 */
export function parseFlags(argv, env) {
  /** @type {Set<string>} */
  const on = new Set();
  /** @type {Map<string, string>} */
  const values = new Map();
  /** @type {string[]} */
  const loose = [];

  for (let i = 0; i < argv.length; i += 1) {
    const argument = argv[i] ?? '';
    if (!argument.startsWith('-')) {
      loose.push(argument);
      continue;
    }
    const name = argument.replace(/^--?/, '').split('=')[0] ?? '';
    const inline = argument.includes('=') ? argument.slice(argument.indexOf('=') + 1) : undefined;
    if (name === 'h') on.add('help');
    else if (includes(switches, name)) {
      if (inline !== undefined) return wrong(`--${name} takes no value`);
      on.add(name);
    } else if (includes(ports, name)) {
      const value = inline ?? argv[i + 1];
      if (value === undefined || (inline === undefined && value.startsWith('-')))
        return wrong(`--${name} needs a port, for example --${name} ${name === 'nats-port' ? 4222 : 6379}`);
      if (inline === undefined) i += 1;
      values.set(name, value);
    } else {
      const nearest = nearestFlag(name);
      return wrong(
        `flag ${shown(argument)} is not known${nearest === undefined ? '' : `: did you mean --${nearest}?`}`,
      );
    }
  }

  // npm sets a switch to 'true', and to '' for --no-… or =false.
  for (const name of switches) {
    if (name !== 'help' && env[`npm_config_${name}`] === 'true') on.add(name);
  }
  for (const name of ports) {
    const value = env[`npm_config_${name.replaceAll('-', '_')}`];
    if (value === undefined || value === '' || values.has(name)) continue;
    // `npm start --nats-port 4300`: npm takes the flag for a switch and hands the number over as a loose argument.
    const number = value === 'true' && /^\d+$/.test(loose[0] ?? '') ? loose.shift() : value;
    if (number === undefined || number === 'true')
      return wrong(`npm took --${name} for a switch: write npm start -- --${name} N`);
    values.set(name, number);
  }
  if (on.has('help')) return { kind: 'help' };
  if (loose.length > 0) return wrong(`argument ${shown(loose[0] ?? '')} is not known`);

  for (const [name, value] of values) {
    if (!/^\d{1,5}$/.test(value) || Number(value) < 1 || Number(value) > 65_535)
      return wrong(`--${name} ${shown(value)} is not a port: a whole number from 1 to 65535`);
  }
  const natsPort = values.get('nats-port');
  const redisPort = values.get('redis-port');
  if (natsPort !== undefined && env.NATS_URL)
    return wrong('--nats-port is for our own NATS, but NATS_URL names another server: leave one of them out');
  if (redisPort !== undefined && env.REDIS_URL)
    return wrong(
      '--redis-port is for our own Redis, but REDIS_URL names another server: leave one of them out',
    );
  if (natsPort !== undefined && Number(natsPort) === Number(redisPort))
    return wrong(`--nats-port and --redis-port are both ${Number(natsPort)}`);
  return {
    kind: 'run',
    options: {
      once: on.has('once'),
      json: on.has('json'),
      gpu: on.has('gpu'),
      yes: on.has('yes'),
      natsPort: natsPort === undefined ? undefined : Number(natsPort),
      redisPort: redisPort === undefined ? undefined : Number(redisPort),
    },
  };
}

/**
 * @param {string} message
 * @returns {ParsedFlags}
 */
function wrong(message) {
  return { kind: 'wrong', message };
}

/** @param {string} text */
function shown(text) {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

/**
 * @template {string} T
 * @param {readonly T[]} list
 * @param {string} value
 * @returns {value is T}
 */
function includes(list, value) {
  return /** @type {readonly string[]} */ (list).includes(value);
}

/**
 * The known flag nearest to a mistyped one, where it is near at all.
 * @param {string} name
 */
function nearestFlag(name) {
  let best;
  let bestDistance = 4;
  for (const known of [...switches, ...ports]) {
    const distance = editDistance(name, known);
    if (distance < bestDistance) [best, bestDistance] = [known, distance];
  }
  return best;
}

/**
 * Levenshtein's distance, one row at a time.
 * @param {string} a
 * @param {string} b
 */
function editDistance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
