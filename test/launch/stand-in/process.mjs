/**
 * Stands in for a coordinator or a host: says that it is ready, has a child in a process group of its own (as a host has
 * runners), and at SIGTERM takes a moment and notes whether both servers still answered at its end.
 * Arguments: name, file for the notes, devices if they are to be noted. STAND_IN_UNREADY and STAND_IN_BROKEN name those that never get ready, or fail.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';

const [name = '', notes = '', devices] = process.argv.slice(2);

/** @param {string} url */
function answers(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

const { NATS_URL: nats = '', REDIS_URL: redis = '', TROUPE_READY_FD: readyFd } = process.env;
const lives = setInterval(() => {}, 1_000);
spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref();

process.on('SIGTERM', async () => {
  await delay(300);
  const up = (await answers(nats)) && (await answers(redis));
  appendFileSync(notes, `${name} drained with the servers ${up ? 'up' : 'down'}\n`);
  clearInterval(lives);
  process.exit(0);
});
// Once by the launcher and never by the terminal.
process.on('SIGINT', () => appendFileSync(notes, `${name} got SIGINT\n`));
if (devices !== undefined) appendFileSync(notes, `${name} offers ${devices}\n`);
appendFileSync(notes, `${name} up as ${process.pid}\n`);
if (process.env.STAND_IN_BROKEN === name) {
  process.stderr.write('{"level":60}\ntroupe: the cupboard is bare\n');
  process.exit(1);
}
if (process.env.STAND_IN_UNREADY !== name) writeSync(Number(readyFd), 'ready\n');
