/**
 * What a terminal shows of the bytes that it gets, as lines of text without an end to the right: colours are left out,
 * carriage returns and the few cursor movements of progress bars are obeyed. Keeps what was wiped away, too. Reads and
 * writes nothing.
 */

/** Escape sequences: a title (ended by BEL or ESC \), a control sequence, or any other of two characters. */
const escapePattern =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  /^\x1b(?:\](?<title>[^\x07\x1b]*)(?:\x07|\x1b\\)|\[(?<args>[\d;?]*)(?<verb>[@-~])|[^[\]])/;

export class Screen {
  /** One character an element; a hole is a blank. */
  readonly #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** An escape sequence whose end has not come yet. */
  #rest = '';
  readonly #onTitle: (title: string) => void;

  constructor(onTitle: (title: string) => void) {
    this.#onTitle = onTitle;
  }

  /** Lines that stood on the screen and do no more, such as each step of a progress bar. */
  readonly wiped: string[] = [];

  /** Lines so far, the last one being written. */
  get rowCount(): number {
    return this.#lines.length;
  }

  lines(from = 0, to = this.#lines.length): string[] {
    return this.#lines.slice(from, to).map(textOf);
  }

  write(text: string): void {
    let rest = this.#rest + text;
    this.#rest = '';
    while (rest !== '') {
      if (rest.startsWith('\x1b')) {
        const match = escapePattern.exec(rest);
        if (match === null) {
          this.#rest = rest;
          return;
        }
        rest = rest.slice(match[0].length);
        const { title, args, verb } = match.groups ?? {};
        if (title !== undefined) this.#onTitle(title);
        if (verb !== undefined) this.#control(verb, args ?? '');
        continue;
      }
      const [character = ''] = rest;
      rest = rest.slice(character.length);
      this.#put(character);
    }
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') this.#moveTo(this.#row + 1);
    else if (character === '\b') this.#column = Math.max(0, this.#column - 1);
    else if (character >= ' ') {
      this.#current()[this.#column] = character;
      this.#column += 1;
    }
  }

  #control(verb: string, args: string): void {
    const count = Number(args) || 1;
    if (verb === 'A') this.#moveTo(Math.max(0, this.#row - count));
    else if (verb === 'B') this.#moveTo(this.#row + count);
    else if (verb === 'C') this.#column += count;
    else if (verb === 'D') this.#column = Math.max(0, this.#column - count);
    else if (verb === 'G') this.#column = count - 1;
    else if (verb === 'K') this.#wipe(args);
    else if (verb === 'J') this.#wipeBelow(args);
    // Colours (m), and hiding the cursor (l, h), change no text.
    else if (!/[mlh]/.test(verb)) throw new Error(`this terminal does not know ESC [ ${args} ${verb}`);
  }

  #wipe(args: string): void {
    const line = this.#current();
    if (line.length > 0) this.wiped.push(textOf(line));
    if (args === '2') line.length = 0;
    else if (args === '1') line.fill(' ', 0, this.#column + 1);
    else line.length = Math.min(line.length, this.#column);
  }

  #wipeBelow(args: string): void {
    if (args !== '' && args !== '0') throw new Error(`this terminal does not know ESC [ ${args} J`);
    this.#wipe('');
    this.#lines.length = this.#row + 1;
  }

  #moveTo(row: number): void {
    while (this.#lines.length <= row) this.#lines.push([]);
    this.#row = row;
  }

  #current(): string[] {
    return this.#lines[this.#row] as string[];
  }
}

function textOf(line: readonly string[]): string {
  return Array.from(line, (character) => character ?? ' ')
    .join('')
    .trimEnd();
}
