import { connect } from '@troupe/client';

const species = ['setosa', 'versicolor', 'virginica'];
const troupe = await connect();
const { outputs, version } = await troupe.infer('iris', [[5.1, 3.5, 1.4, 0.2]]);
const chances = Array.from(outputs.probabilities.data);
const best = chances.indexOf(Math.max(...chances));
console.log(`iris version ${version}: ${species[best]}, ${(100 * chances[best]).toFixed(1)} %`);
await troupe.close();
