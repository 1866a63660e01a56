/**
 * A network of the test's own: a kernel network namespace with one address that is no loopback address.
 *
 * The test file runs itself once more inside of it. Nothing has to be taken down: a namespace ends with its last process.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/** Of the documentation range (RFC 5737): nobody's. */
export const ADDRESS = '192.0.2.1';
export const isInside = process.env.PLENUM_TEST_NETWORK === ADDRESS;

// Root may do it as root; others where the kernel lets anybody be root of a namespace.
const UNSHARE = ['unshare', '--net', ...(process.getuid() === 0 ? [] : ['--map-root-user'])];
const SET_UP = [
  'ip link set lo up',
  'ip link add plenum0 type veth peer name plenum1',
  // A second after a link is up its IPv6 address is confirmed, and browsers break off what they are loading: the network has changed.
  '{ ip link set plenum0 addrgenmode none && ip link set plenum1 addrgenmode none || true; }',
  `ip address add ${ADDRESS}/24 dev plenum0`,
  'ip link set plenum0 up',
  'ip link set plenum1 up',
].join(' && ');

const inNamespace = (command) => [...UNSHARE.slice(1), 'sh', '-c', `${SET_UP} && exec ${command}`];

/** Why there can be no such network here; null when there can. @returns {string | null} */
export function whyNot() {
  const { status, error, stderr } = spawnSync(UNSHARE[0], inNamespace('true'), { encoding: 'utf8' });
  return status === 0 ? null : `no network namespace can be made here (${(error?.message ?? stderr).trim()}); as root it can`;
}

/** Runs a test file inside. @returns {Promise<{code: number, output: string}>} what it printed, in TAP */
export async function runInside(file) {
  // Or Node would take it for a part of this run.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn(UNSHARE[0], inNamespace(`"${process.execPath}" --test --test-reporter=tap "${file}"`), {
    env: { ...env, PLENUM_TEST_NETWORK: ADDRESS },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => (output += bytes));
  const [code] = await once(child, 'close');
  return { code, output };
}
