/**
 * The load generator's process: opens a door to a contestant and drives the closed loop. Each contestant has a process of
 * its own of these, so that no way of asking is compiled for another's shapes.
 */
import { type BenchModel, readRows } from './bench-model.js';
import { serveCalls } from './child.js';
import { type Door, type LoadOrder, runClosedLoop } from './closed-loop.js';
import { openBareDoor } from './doors/bare-door.js';
import { openHttpDoor } from './doors/http-door.js';
import { openNatsDoor } from './doors/nats-door.js';
import { openSdkDoor } from './doors/sdk-door.js';

/** Where a contestant is asked. */
export type Address =
  | { readonly kind: 'http'; readonly port: number }
  | { readonly kind: 'bare-nats' | 'bare-jetstream'; readonly url: string }
  | { readonly kind: 'sdk' | 'nats' | 'nats-json'; readonly natsUrl: string; readonly namespace: string };

export interface LoadCall extends LoadOrder {
  readonly address: Address;
  readonly model: BenchModel;
  /** What the contestant calls the model. */
  readonly servedAs: string;
}

/** Opens a door for a model. `inFlight` is the most that is ever asked at once. */
export type OpenDoor<A extends Address = Address> = (
  address: A,
  model: BenchModel,
  servedAs: string,
  inputs: readonly Float32Array[],
  inFlight: number,
) => Promise<Door>;

const rows = new Map<string, { inputs: Float32Array[]; expected: Float32Array[] }>();

function rowsOf(model: BenchModel) {
  let known = rows.get(model.name);
  if (known === undefined) {
    known = {
      inputs: readRows(model.inputsPath, model.rowCount),
      expected: readRows(model.expectedPath, model.rowCount),
    };
    rows.set(model.name, known);
  }
  return known;
}

const doors = new Map<string, Promise<Door>>();

const openDoor: OpenDoor = (address, ...rest) => {
  switch (address.kind) {
    case 'http':
      return openHttpDoor(address, ...rest);
    case 'sdk':
      return openSdkDoor(address, ...rest);
    case 'nats':
    case 'nats-json':
      return openNatsDoor(address, ...rest);
    case 'bare-nats':
    case 'bare-jetstream':
      return openBareDoor(address, ...rest);
  }
};

function doorTo({ address, model, servedAs, inFlight }: LoadCall): Promise<Door> {
  const key = JSON.stringify([address, servedAs, inFlight]);
  let door = doors.get(key);
  if (door === undefined) {
    door = openDoor(address, model, servedAs, rowsOf(model).inputs, inFlight);
    doors.set(key, door);
  }
  return door;
}

serveCalls(async (call: LoadCall) => runClosedLoop(await doorTo(call), rowsOf(call.model).expected, call));
