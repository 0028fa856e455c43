/**
 * A person's terminal: a shell in a pseudo-terminal of 80 columns, in which commands are typed and whose screen is read.
 * The prompt tells the exit code of the command before it, as the title of the window. Needs util-linux's `script`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { expect } from 'chai';
import { waitUntil } from '../harness/wait-until.js';
import { Screen } from './screen.js';

export const columnCount = 80;

/** What a command has left on the screen. */
export interface Shown {
  readonly command: string;
  /** None where the command goes on. */
  readonly exitCode?: number;
  /** Without the line of the command itself. */
  readonly lines: readonly string[];
  /** Lines that stood there in between. */
  readonly wiped: readonly string[];
  readonly text: string;
}

export interface TerminalOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Told of each command that has ended, or has come as far as it was waited for. */
  readonly onShown: (shown: Shown) => void;
}

/** Of util-linux: a shell with a terminal of its own between two pipes. */
const pseudoTerminal = ['script', '-qfec', 'exec /bin/sh -i', '/dev/null'] as const;

const ctrlC = '\x03';

export class Terminal {
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #screen: Screen;
  readonly #onShown: (shown: Shown) => void;
  readonly #exitCodes: number[] = [];
  #command = '';
  /** Row in which the command stands. */
  #commandRow = 0;

  private constructor({ cwd, env, onShown }: TerminalOptions) {
    this.#onShown = onShown;
    this.#screen = new Screen((title) => {
      const code = /^0;exit (\d+)$/.exec(title)?.[1];
      if (code !== undefined) this.#exitCodes.push(Number(code));
    });
    const [program, ...args] = pseudoTerminal;
    this.#child = spawn(program, args, {
      cwd,
      // `script` starts what it is given through SHELL, and a bash in between would drop PS1.
      env: { ...env, SHELL: '/bin/sh', ENV: '', TERM: 'xterm-256color', PS1: '\x1b]0;exit $?\x07$ ' },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => this.#screen.write(text));
    this.#child.stdin?.on('error', () => {}); // the shell may have gone first
    this.#closed = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', () => resolve());
    });
    this.#closed.catch(() => {}); // told by the wait for the first prompt
  }

  static async open(options: TerminalOptions): Promise<Terminal> {
    const terminal = new Terminal(options);
    try {
      await terminal.#untilPrompt(1, 30_000);
      terminal.#child.stdin?.write(`stty cols ${columnCount} rows 24\n`);
      await terminal.#untilPrompt(2, 30_000);
      terminal.#exitCodes.splice(0);
      return terminal;
    } catch (thrown) {
      await terminal.close();
      throw thrown;
    }
  }

  /** Types a command, and waits for its end. */
  async run(command: string, limitMs = 60_000): Promise<Shown> {
    this.#type(command);
    return this.#ended(limitMs);
  }

  /** Types a command that stays, and waits for a text on the screen. */
  async start(command: string, until: string | RegExp, limitMs = 120_000): Promise<string> {
    this.#type(command);
    const text = () => this.#lines().join('\n');
    const isThere = () => (typeof until === 'string' ? text().includes(until) : until.test(text()));
    await this.#wait(`${until} after '${command}'`, () => isThere() || this.#exitCodes.length > 0, limitMs);
    expect(isThere(), `'${command}' has ended:\n${text()}`).to.equal(true);
    return this.#show().text;
  }

  /** Presses Ctrl-C, and waits for the end of the command that `start` has begun. */
  async interrupt(limitMs = 40_000): Promise<Shown> {
    this.#commandRow = this.#screen.rowCount - 2; // what was there before is shown already
    this.#command = '(Ctrl-C)';
    this.#child.stdin?.write(ctrlC);
    return this.#ended(limitMs);
  }

  /** Shuts the window, whatever runs in it. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  #type(command: string): void {
    expect(command.length, 'a terminal takes no longer line').to.be.below(4_000);
    this.#command = command;
    this.#commandRow = this.#screen.rowCount - 1;
    this.#exitCodes.splice(0);
    this.#child.stdin?.write(`${command}\n`);
  }

  async #ended(limitMs: number): Promise<Shown> {
    await this.#untilPrompt(1, limitMs);
    return this.#show(this.#exitCodes[0]);
  }

  #show(exitCode?: number): Shown {
    const lines = this.#lines();
    const shown = {
      command: this.#command,
      ...(exitCode === undefined ? {} : { exitCode }),
      lines,
      wiped: this.#screen.wiped.splice(0),
      text: lines.join('\n'),
    };
    this.#onShown(shown);
    return shown;
  }

  #lines(): string[] {
    const lines = this.#screen.lines(this.#commandRow + 1);
    if (this.#exitCodes.length > 0) lines.pop(); // the next prompt
    return lines;
  }

  async #untilPrompt(count: number, limitMs: number): Promise<void> {
    await this.#wait(`a prompt after '${this.#command}'`, () => this.#exitCodes.length >= count, limitMs);
  }

  async #wait(what: string, isThere: () => boolean, limitMs: number): Promise<void> {
    try {
      await waitUntil(`the terminal shows ${what}`, isThere, { timeoutMs: limitMs });
    } catch (thrown) {
      const shown = this.#screen.lines(this.#commandRow).join('\n');
      throw new Error(`the terminal does not show ${what}, but:\n${shown}`, { cause: thrown });
    }
  }
}
