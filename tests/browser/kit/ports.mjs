/** Ports for programs that tests start. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port number that is free for TCP and UDP alike. */
export async function freePort() {
  for (;;) {
    const tcp = createServer().listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    const { port } = tcp.address();
    const udp = createSocket('udp4');
    const free = await new Promise((resolve) => {
      udp.once('error', () => resolve(false));
      udp.bind(port, '127.0.0.1', () => resolve(true));
    });
    udp.close();
    tcp.close();
    await once(tcp, 'close');
    if (free) return port;
  }
}

/** The first of so many UDP ports in a row, all of them free now, below those that the system hands out. */
export async function freePorts(count) {
  for (let first = 20_000 + (process.pid % 100) * 100; ; first = first >= 32_000 ? 20_000 : first + count) {
    const sockets = Array.from({ length: count }, () => createSocket('udp4'));
    const bound = await Promise.all(sockets.map((socket, n) => new Promise((resolve) => {
      socket.once('error', () => resolve(false));
      socket.bind(first + n, '127.0.0.1', () => resolve(true));
    })));
    await Promise.all(sockets.map((socket, n) => bound[n] && new Promise((resolve) => socket.close(resolve))));
    if (bound.every(Boolean)) return first;
  }
}
