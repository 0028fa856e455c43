/** Text for people in the width of their terminal. Pure. */

/** Under the first line of a paragraph, so that one sees where the next one begins. */
const hanging = '  ';

/**
 * Breaks a paragraph at blanks so that no line is wider, all but the first one indented. A word that is wider by itself
 * (a path, an address) stays whole: it is to be copied.
 */
export function wrapText(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.trim() !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${hanging}${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].join('\n');
}
