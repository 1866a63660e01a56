/** What a running server takes of the machine, read from outside. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const TICKS_A_SECOND = Number(execFileSync('getconf', ['CLK_TCK']));

/** Processor time so far, in seconds. */
export function cpu(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
}

/** Memory that it has now, in MiB. */
export const rss = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

/** Datagrams so far that found the queue of a UDP port of 127.0.0.1 full: the system dropped them, and no program saw them. */
export function overflowed(port) {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const line = readFileSync('/proc/net/udp', 'utf8').split('\n').find((one) => one.includes(` ${local} `));
  return Number(line?.trim().split(/\s+/).at(-1) ?? 0);
}
