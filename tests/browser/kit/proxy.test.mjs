import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { test } from 'node:test';
import { isStunRequest, startProxy } from './proxy.mjs';
import { until } from './wait.mjs';

/** A UDP server that answers each datagram with itself and remembers who sent; `send` says something unasked. */
async function udpEcho() {
  const socket = createSocket('udp4');
  const senders = new Set();
  socket.on('message', (datagram, from) => {
    senders.add(from.port);
    socket.send(datagram, from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const send = (datagram, port) => socket.send(datagram, port, '127.0.0.1');
  return { port: socket.address().port, senders, send, close: () => socket.close() };
}

async function udpClient(port) {
  const socket = createSocket('udp4');
  const received = [];
  socket.on('message', (datagram) => received.push(datagram.readUInt16BE(2)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const sendRaw = (datagram) => socket.send(datagram, port, '127.0.0.1');
  const send = (sequence, type) => sendRaw(rtp(sequence, type));
  return { received, send, sendRaw, close: () => socket.close() };
}

/** An RTP-like packet of a payload type. */
function rtp(sequence, type = 96) {
  const packet = Buffer.alloc(20);
  packet[0] = 0x80;
  packet[1] = type;
  packet.writeUInt16BE(sequence, 2);
  return packet;
}

async function lossPattern(seed) {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port, seed });
  proxy.impair({ down: { loss: 0.1 } });
  const client = await udpClient(proxy.udpPort);
  for (let sequence = 0; sequence < 500; sequence += 1) {
    client.send(sequence, sequence % 2 ? 96 : 111);
    if (sequence % 20 === 19) await until('echoes', () => proxy.counters().down.passed + proxy.counters().down.lost > sequence);
  }
  const { down, up } = proxy.counters();
  await until('all that was not lost', () => client.received.length === down.passed);
  for (const one of [client, proxy, echo]) one.close();
  assert.equal(up.lost, 0);
  assert.equal(down.passed + down.lost, 500);
  assert.equal(down.lostByType[96] + down.lostByType[111], down.lost);
  return { received: client.received, lost: down.lost };
}

test('loss has the asked share and the same seed loses the same packets', async () => {
  const [one, again, other] = [await lossPattern(7), await lossPattern(7), await lossPattern(8)];
  assert.ok(one.lost > 25 && one.lost < 75, `10 % of 500, got ${one.lost}`);
  assert.deepEqual(one.received.sort(), again.received.sort());
  assert.notDeepEqual(one.received.sort(), other.received.sort());
});

test('each client address is a path of its own to the server', async () => {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port });
  const clients = [await udpClient(proxy.udpPort), await udpClient(proxy.udpPort)];
  clients.forEach((client, index) => client.send(index));
  await until('both echoes', () => clients.every(({ received }) => received.length === 1));
  assert.deepEqual(clients.map(({ received }) => received[0]), [0, 1]);
  assert.equal(echo.senders.size, 2);
  for (const one of [...clients, proxy, echo]) one.close();
});

test('a rebound client has another address at the server, and its old one leads nowhere', async () => {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port });
  const clients = [await udpClient(proxy.udpPort), await udpClient(proxy.udpPort)];
  clients.forEach((client) => client.send(1));
  await until('both echoes', () => clients.every(({ received }) => received.length === 1));
  const old = [...echo.senders];
  assert.equal(old.length, 2);

  const rebound = performance.now();
  const found = proxy.rebind();
  old.forEach((port) => echo.send(rtp(2), port));
  await until('the old addresses to be dead ends', () => proxy.counters().down.stale === 2);
  clients.forEach((client) => client.send(3));
  await until('both echoes again', () => clients.every(({ received }) => received.includes(3)));
  assert.deepEqual(clients.map(({ received }) => received), [[1, 3], [1, 3]], 'nothing came by the old addresses');
  assert.equal(echo.senders.size, 4);
  assert.ok(await found >= rebound && await found <= performance.now());
  for (const one of [...clients, proxy, echo]) one.close();
});

test('a rule drops what it names and nothing else, in its direction alone', async () => {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port });
  const client = await udpClient(proxy.udpPort);
  const check = Buffer.concat([Buffer.from([0x00, 0x01]), Buffer.alloc(18)]);
  const answer = Buffer.concat([Buffer.from([0x01, 0x01]), Buffer.alloc(18)]);
  assert.deepEqual([check, answer, rtp(1), check.subarray(0, 19)].map(isStunRequest), [true, false, false, false]);
  proxy.impair({ down: { drops: isStunRequest } });
  client.sendRaw(check);
  client.send(7);
  await until('what may pass', () => client.received.length === 1);
  assert.deepEqual(client.received, [7]);
  assert.deepEqual([proxy.counters().up.refused, proxy.counters().down.refused], [0, 1]);
  for (const one of [client, proxy, echo]) one.close();
});

test('delay holds datagrams back and loses none', async () => {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port });
  proxy.impair({ up: { delayMs: 40 }, down: { delayMs: 40 } });
  const client = await udpClient(proxy.udpPort);
  const started = performance.now();
  client.send(1);
  await until('the echo', () => client.received.length === 1);
  assert.ok(performance.now() - started >= 75);
  for (const one of [client, proxy, echo]) one.close();
});

test('a cut lets nothing through and tells nobody; healing resets old connections and serves new ones', async () => {
  const tcp = createServer((socket) => socket.pipe(socket).on('error', () => {})).listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const echo = await udpEcho();
  const proxy = await startProxy({ tcpTarget: tcp.address().port, udpTarget: echo.port });
  const client = await udpClient(proxy.udpPort);
  const dial = () => {
    const socket = connect(proxy.tcpPort, '127.0.0.1');
    const state = { socket, text: '', closed: false };
    socket.on('data', (bytes) => (state.text += bytes)).on('error', () => {}).on('close', () => (state.closed = true));
    socket.write('one ');
    return state;
  };
  const old = dial();
  await until('the TCP echo', () => old.text === 'one ');

  proxy.cut();
  old.socket.write('lost');
  client.send(1);
  const during = dial();
  await until('the datagram to be cut', () => proxy.counters().up.cut === 1);
  assert.deepEqual([old.text, old.closed, during.text, during.closed, client.received.length], ['one ', false, '', false, 0]);

  proxy.heal();
  await until('the resets', () => old.closed && during.closed);
  const fresh = dial();
  client.send(2);
  await until('traffic again', () => fresh.text === 'one ' && client.received.includes(2));
  fresh.socket.destroy();
  for (const one of [client, proxy, echo, tcp]) one.close();
});

test('a proxy that refuses upgrades lets plain requests through', async () => {
  const tcp = createServer((socket) => socket.on('data', () => socket.end('HTTP/1.1 204 No Content\r\n\r\n'))).listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const proxy = await startProxy({ tcpTarget: tcp.address().port, refuseUpgrade: true });
  const ask = (headers) => new Promise((resolve, reject) => {
    const socket = connect(proxy.tcpPort, '127.0.0.1', () => socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`));
    let text = '';
    socket.on('data', (bytes) => (text += bytes)).on('end', () => resolve(text.split('\r\n')[0])).on('error', reject);
  });
  assert.equal(await ask(''), 'HTTP/1.1 204 No Content');
  assert.equal(await ask('Connection: Upgrade\r\nUpgrade: websocket\r\n'), 'HTTP/1.1 403 Forbidden');
  proxy.close();
  tcp.close();
});
