import { nearestName } from '@troupe/shared';
import { expect } from 'chai';

describe('the nearest name', () => {
  it('is the one with the fewest edits, whatever the case', () => {
    expect(nearestName('imput', ['output', 'input'])).to.equal('input');
    expect(nearestName('INPUT0', ['input1', 'input0'])).to.equal('input0');
    expect(nearestName('x', ['y'])).to.equal('y');
    expect(nearestName('irsi', ['squeezenet', 'iris'])).to.equal('iris');
    expect(nearestName('riis', ['squeezenet', 'isir'])).to.equal(undefined);
    expect(nearestName('iriss', new Set(['squeezenet', 'iris']))).to.equal('iris');
  });

  it('is nothing where no name is near, or none is known', () => {
    expect(nearestName('input', ['sepal_length'])).to.equal(undefined);
    expect(nearestName('input', [])).to.equal(undefined);
    expect(nearestName('', ['abc'])).to.equal(undefined);
  });

  it('is not looked for where a name is long enough to cost time', () => {
    const long = 'n'.repeat(10_000);
    expect(nearestName(long, [long])).to.equal(undefined);
    expect(nearestName('n', [long])).to.equal(undefined);
  });
});
