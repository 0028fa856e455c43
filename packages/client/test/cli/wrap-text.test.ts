import { expect } from 'chai';
import fc from 'fast-check';
import { wrapText } from '../../src/cli/wrap-text.js';

describe('text in the width of a terminal', () => {
  it('is broken at blanks, and what follows is indented', () => {
    expect(wrapText('troupe: no model is called "fruad": did you mean "fraud"?', 30)).to.equal(
      'troupe: no model is called\n  "fruad": did you mean\n  "fraud"?',
    );
  });

  it('stays as it is where it fits', () => {
    expect(wrapText('a  b', 4)).to.equal('a  b');
  });

  it('has no line that is too wide but one of a single word, and loses no word', () => {
    const words = fc.array(fc.stringMatching(/^[a-z/]{1,30}$/), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(words, fc.integer({ min: 10, max: 40 }), (given, width) => {
        const lines = wrapText(given.join(' '), width).split('\n');
        expect(lines.flatMap((line) => line.trim().split(' '))).to.deep.equal(given);
        for (const line of lines) {
          if (line.length > width) expect(line.trim()).not.to.include(' ');
        }
      }),
    );
  });
});
