/**
 * Shell completion: a small script made of the tree of commands, so that it knows what the program knows and asks
 * nobody while one types. Called by `troupe completion`. Where a file may stand, the shell completes files.
 */
import type { Command } from 'commander';

export const shells = ['bash', 'zsh'] as const;
export type Shell = (typeof shells)[number];

/** What may stand behind a command: commands or fixed words, options, and which of those take a value. */
interface Place {
  readonly path: string;
  readonly verbs: readonly string[];
  readonly flags: readonly string[];
  readonly valued: readonly string[];
}

function placesOf(command: Command, path: string): Place[] {
  const visible = command.options.filter((option) => !option.hidden);
  const place = {
    path,
    verbs: [
      ...command.commands.map((child) => child.name()),
      ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    ],
    flags: [...visible.flatMap((option) => option.long ?? []), '--help'],
    // What help hides takes its value all the same.
    valued: command.options
      .filter((option) => option.required || option.optional)
      .flatMap((option) => [option.long ?? [], option.short ?? []].flat()),
  };
  const below = command.commands.flatMap((child) => placesOf(child, `${path} ${child.name()}`.trim()));
  return [place, ...below];
}

/** The script that teaches a shell the program. Names of commands and options need no quoting in it. */
export function completionScript(program: Command, shell: Shell): string {
  const cases = placesOf(program, '').map(
    ({ path, verbs, flags, valued }) =>
      `    '${path}') verbs='${verbs.join(' ')}' flags='${flags.join(' ')}' valued='${valued.join(' ')}' ;;\n`,
  );
  const name = program.name();
  return `# ${shell} completion of ${name}: source <(${name} completion ${shell})${shell === 'zsh' ? ', after compinit' : ''}
_${name}_at() {
  case "$1" in
${cases.join('')}    *) verbs='' ;;
  esac
}
${shell === 'bash' ? bashPart(name) : zshPart(name)}`;
}

/** Walks from the first word to the one before the cursor. The same in both shells, whose arrays begin at 0 and 1. */
function walk(name: string, first: number, cursor: string, array: string): string {
  return `  local at='' verbs='' flags='' valued='' word skip='' index
  _${name}_at ''
  for ((index = ${first}; index < ${cursor}; index++)); do
    word="\${${array}[index]}"
    if [[ -n $skip ]]; then
      skip=''
    elif [[ -n $word && " $valued " == *" $word "* ]]; then
      skip=1
    elif [[ -n $word && " $verbs " == *" $word "* ]]; then
      at="\${at:+$at }$word"
      _${name}_at "$at"
    fi
  done
  word="\${${array}[${cursor}]}"
`;
}

function bashPart(name: string): string {
  return `_${name}() {
${walk(name, 1, 'COMP_CWORD', 'COMP_WORDS')}  COMPREPLY=()
  if [[ -n $skip ]]; then
    return
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$verbs" -- "$word"))
  fi
}
complete -o default -F _${name} ${name}
`;
}

function zshPart(name: string): string {
  return `_${name}() {
${walk(name, 2, 'CURRENT', 'words')}  if [[ -n $skip ]]; then
    _files
  elif [[ $word == -* ]]; then
    compadd -- \${=flags}
  elif [[ -n $verbs ]]; then
    compadd -- \${=verbs}
  else
    _files
  fi
}
compdef _${name} ${name}
`;
}
