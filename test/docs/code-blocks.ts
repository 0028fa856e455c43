/** The code blocks of a Markdown document, with their line and the words behind the language. Runs nothing. */

export interface CodeBlock {
  readonly language: string;
  /** Reason of the error with which the block ends, where the document shows one: ```sh refused=model.unknown */
  readonly refused?: string;
  readonly code: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

export function codeBlocks(markdown: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  const lines = markdown.split('\n');
  for (let index = 0; index < lines.length; index += 1) {
    const opened = /^```(\w*) *(.*)$/.exec(lines[index] ?? '');
    if (opened === null) continue;
    const end = lines.indexOf('```', index + 1);
    if (end === -1) throw new Error(`the code block of line ${index + 1} does not end`);
    const [, language = '', words = ''] = opened;
    const refused = /^refused=(\S+)$/.exec(words)?.[1];
    if (words !== '' && refused === undefined) throw new Error(`line ${index + 1}: what is '${words}'?`);
    blocks.push({
      language,
      ...(refused === undefined ? {} : { refused }),
      code: `${lines.slice(index + 1, end).join('\n')}\n`,
      line: index + 2,
    });
    index = end;
  }
  return blocks;
}
