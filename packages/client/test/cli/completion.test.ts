/** Shell completion: the scripts are run by the shells that they are for. */
import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import type { Command } from 'commander';
import { completionScript, type Shell } from '../../src/cli/completion.js';
import { createProgram } from '../../src/cli/program.js';
import { runCli } from '../../src/cli/run-cli.js';

const streams = {
  stdout: { write: () => undefined },
  stderr: { write: () => undefined },
  signal: new AbortController().signal,
};
const program = createProgram(streams, false);

/** Stand for what the shell brings along: they print what would be offered. */
const surroundings: Readonly<Record<Shell, { before: string; after: string }>> = {
  bash: {
    before: '',
    after: `COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _troupe; printf "%s\\n" "\${COMPREPLY[@]}"`,
  },
  zsh: {
    before: 'compdef() { true; }; _files() { true; }; compadd() { shift; print -l -- "$@"; };',
    after: 'words=("$@") CURRENT=$#; _troupe',
  },
};

/** What a shell offers for the last of the words, which may have been begun. */
function offers(shell: Shell, ...words: string[]): string[] {
  const { before, after } = surroundings[shell];
  const script = `${before}\n${completionScript(program, shell)}\n${after}`;
  const quiet = shell === 'bash' ? ['--norc', '--noprofile'] : ['-f'];
  const ran = spawnSync(shell, [...quiet, '-c', script, shell, 'troupe', ...words], { encoding: 'utf8' });
  expect(ran.stderr).to.equal('');
  expect(ran.status).to.equal(0);
  const begun = words.at(-1) ?? '';
  // zsh itself leaves out what does not fit.
  return ran.stdout.split('\n').filter((word) => word !== '' && word.startsWith(begun));
}

const present = (shell: Shell) => spawnSync(shell, ['--version']).status === 0;

for (const shell of ['bash', 'zsh'] as const) {
  describe(`completion in ${shell}`, () => {
    before(function skipWithoutShell() {
      if (!present(shell)) this.skip();
    });

    it('offers the commands of each command, as the help shows them', () => {
      const names = (command: Command) => command.commands.map((child) => child.name());
      expect(offers(shell, ''))
        .to.deep.equal(names(program))
        .and.to.include.members(['infer', 'models', 'dead']);
      for (const command of program.commands.filter((one) => one.commands.length > 0))
        expect(offers(shell, command.name(), '')).to.deep.equal(names(command));
      expect(offers(shell, 'models', 'l')).to.deep.equal(['list', 'label']);
      expect(offers(shell, 'completion', '')).to.deep.equal(['bash', 'zsh']);
    });

    it('offers the options of the command that they follow', () => {
      expect(offers(shell, 'models', 'push', 'a.onnx', '--max')).to.deep.equal([
        '--max-batch',
        '--max-delay-ms',
      ]);
      expect(offers(shell, 'infer', 'iris', '--')).to.include.members([
        '--input',
        '--file',
        '--json',
        '--help',
      ]);
      expect(offers(shell, 'hosts', '--')).to.not.include('--input');
      expect(offers(shell, '--v')).to.deep.equal(['--version']);
    });

    it('leaves values and files to the shell', () => {
      expect(offers(shell, 'infer', 'iris', '--file', '')).to.deep.equal([]);
      expect(offers(shell, 'models', 'push', '')).to.deep.equal([]);
      expect(offers(shell, '--namespace', 'models', '')).to.deep.equal(offers(shell, ''));
      expect(offers(shell, 'nobody', '')).to.deep.equal(offers(shell, ''));
    });
  });
}

describe('troupe completion', () => {
  it('prints the script, in JSON with the shell, and refuses shells that it does not know', async () => {
    let out = '';
    const run = (...args: string[]) => {
      out = '';
      const stdout = {
        write: (text: string) => {
          out += text;
        },
      };
      return runCli(['completion', ...args], { ...streams, stdout });
    };
    expect(await run('bash')).to.equal(0);
    expect(out).to.equal(completionScript(program, 'bash'));
    expect(await run('zsh', '--json')).to.equal(0);
    expect(JSON.parse(out)).to.deep.equal({ shell: 'zsh', script: completionScript(program, 'zsh') });
    expect(await run('fish')).to.equal(2);
    expect(await run()).to.equal(2);
  });
});
