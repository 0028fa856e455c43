/** What the steps of set-up are called with in tests: silent, and never interrupted. */

import { createProgress, type Progress } from '../../deploy/local/progress.mjs';
import type { ToolContext } from '../../deploy/local/tool.mjs';

export interface QuietContext extends ToolContext {
  readonly progress: Progress;
  /** Lines that the user would have seen. */
  readonly lines: string[];
}

export function quietContext(): QuietContext {
  const lines: string[] = [];
  const progress = createProgress({ write: (text) => lines.push(text) }, { animate: false });
  return { progress, lines, guard: undefined, signal: new AbortController().signal };
}
