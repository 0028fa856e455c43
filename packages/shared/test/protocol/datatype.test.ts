import { viewAs } from '@troupe/shared';
import { expect } from 'chai';

describe('viewAs', () => {
  it('copies bytes that lie askew, also those of a Buffer, whose slice() is no copy', () => {
    const memory = new ArrayBuffer(9);
    const askew = Buffer.from(memory, 1, 8);
    askew.writeFloatLE(1.5, 0);
    askew.writeFloatLE(-2, 4);
    expect([...viewAs('FP32', askew)]).to.deep.equal([1.5, -2]);
    expect([...viewAs('FP32', new Uint8Array(memory, 1, 8))]).to.deep.equal([1.5, -2]);
  });
});
