/** Somebody who has an error in front of him finds its page, and the page is right. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCatalogue } from '@troupe/shared';
import { expect } from 'chai';
import { repositoryRoot } from '../harness/repository-root.js';

const folder = join(repositoryRoot, 'docs/errors');
const reasons = Object.entries(errorCatalogue);
const helps = (retryable: boolean) => (retryable ? 'yes' : 'no');

describe('the pages on errors', () => {
  it('every reason of the catalogue has a page, and no page is left over', () => {
    const pages = readdirSync(folder).filter((name) => name !== 'README.md');
    expect(pages.sort()).to.deep.equal(reasons.map(([reason]) => `${reason}.md`).sort());
  });

  it('a page says the class, the status and whether a retry helps, as the catalogue has them', () => {
    for (const [reason, { class: errorClass, status, retryable }] of reasons) {
      const [title, , facts] = readFileSync(join(folder, `${reason}.md`), 'utf8').split('\n');
      expect(title).to.equal(`# ${reason}`);
      expect(facts, reason).to.equal(
        `Class \`${errorClass}\`, HTTP status ${status}, a retry helps: ${helps(retryable)}.`,
      );
    }
  });

  it('a page says what it means, what causes it and what to do', () => {
    for (const [reason] of reasons) {
      const text = readFileSync(join(folder, `${reason}.md`), 'utf8');
      for (const part of ['Means', 'Usual cause', 'What to do']) {
        expect(text, reason).to.match(new RegExp(String.raw`^\*\*${part}\.\*\* \S`, 'm'));
      }
    }
  });

  it('the index lists all reasons in the order of the catalogue', () => {
    const rows = readFileSync(join(folder, 'README.md'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| ['));
    expect(rows).to.deep.equal(
      reasons.map(
        ([reason, { class: errorClass, status, retryable }]) =>
          `| [${reason}](${reason}.md) | \`${errorClass}\` | ${status} | ${helps(retryable)} |`,
      ),
    );
  });
});

describe('the links of the documentation', () => {
  const documents = [
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
    ...readdirSync(join(repositoryRoot, 'docs'), { recursive: true, encoding: 'utf8' })
      // What is installed or generated there is not ours to mend.
      .filter((path) => path.endsWith('.md') && !/^api\/|node_modules\//.test(path))
      .map((path) => join('docs', path)),
  ];

  it('lead to files that are there', () => {
    const dead = documents.flatMap((document) => {
      const text = readFileSync(join(repositoryRoot, document), 'utf8');
      return [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, target = '']) => target)
        .filter((target) => !existsSync(join(repositoryRoot, document, '..', target)))
        .map((target) => `${document}: ${target}`);
    });
    expect(dead).to.deep.equal([]);
  });
});
