import { isAnswerSubject } from '@troupe/shared';
import { expect } from 'chai';

describe('an answer', () => {
  const allowed = (subject: string) => isAnswerSubject(subject, 'troupe');

  it('goes to a plain subject', () => {
    for (const good of ['_INBOX.a.b', 'x', 'ä.b', 'troupers.inbox'])
      expect(allowed(good), good).to.equal(true);
  });

  it('goes to no wildcard, and to nothing that could break the line of the protocol', () => {
    for (const bad of ['', 'a b', 'a.*', 'a.>', 'a\r\nPUB', 'a\tb', 'x'.repeat(2_000)]) {
      expect(allowed(bad), JSON.stringify(bad)).to.equal(false);
    }
  });

  it('goes nowhere where its caller could do harm by it: not to the server, not to Troupe', () => {
    for (const bad of [
      '$JS.API.STREAM.DELETE.X',
      '$KV.TROUPE_ROUTES.iris',
      'troupe.ctl.host-1',
      'troupe.work.iris.1.1',
    ]) {
      expect(allowed(bad), bad).to.equal(false);
    }
  });
});
