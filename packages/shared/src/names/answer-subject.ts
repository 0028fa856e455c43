/**
 * Where an answer may go. Callers name the inbox themselves, so a request must not make a runner publish where its
 * caller has no business: the server's own subjects (`$JS.…`, `$KV.…`, `$SYS.…`) and those of Troupe.
 */

const longestSubject = 1_024;
/** No blanks, control characters and wildcards: `*` is 0x2a, `>` is 0x3e. */
const literalSubject = /^[!-)+-=?-~\u0080-\uffff]+$/;

/** Whether answers may be published to a subject that a caller named. */
export function isAnswerSubject(subject: string, namespace: string): boolean {
  return (
    subject.length <= longestSubject &&
    literalSubject.test(subject) &&
    !subject.startsWith('$') &&
    !subject.startsWith(`${namespace}.`)
  );
}
