/** The coordinator of Troupe, for programs that run one inside themselves: tests and deployments. */
export {
  type Coordinator,
  type CoordinatorOptions,
  type CoordinatorOutcome,
  createCoordinator,
} from './coordinator.js';
