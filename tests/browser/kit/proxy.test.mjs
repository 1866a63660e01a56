import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { test } from 'node:test';
import { isStunRequest, PROFILES, startProxy } from './proxy.mjs';
import { report, until } from './wait.mjs';

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

/** Sends so many datagrams through a proxy that is impaired towards the client, and waits for what comes of them. */
async function impaired(down, { count, seed = 3, length = 100 }) {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port, seed });
  proxy.impair({ down });
  const client = await udpClient(proxy.udpPort);
  const accounted = ({ passed, duplicated, lost, overflowed }) => passed - duplicated + lost + overflowed;
  const started = performance.now();
  for (let sequence = 0; sequence < count; sequence += 1) {
    client.sendRaw(Buffer.concat([rtp(sequence), Buffer.alloc(length - 20)]));
    // The kernel's buffers hold so many for sure.
    if (sequence % 50 === 49) await until('datagrams to reach the proxy', () => proxy.counters().up.passed > sequence);
  }
  await until('all to arrive or to be lost', () => accounted(proxy.counters().down) === count);
  const counters = proxy.counters().down;
  await until('all that passed', () => client.received.length === counters.passed);
  const took = performance.now() - started;
  for (const one of [client, proxy, echo]) one.close();
  return { received: client.received, counters, took };
}

const ascends = (numbers) => numbers.every((number, at) => at === 0 || numbers[at - 1] <= number);

test('a bottleneck is no faster than its rate', async (t) => {
  // 100 octets are 8 ms at 100 kbit/s.
  const { received, counters, took } = await impaired({ rateKbps: 100, queueMs: 60_000 }, { count: 50 });
  report(t, '50 datagrams of 8 ms each', took);
  assert.equal(received.length, 50);
  assert.ok(took >= 50 * 8);
  assert.equal(counters.overflowed, 0);
});

test('a bottleneck\'s queue is bounded, and what finds no room is dropped', async (t) => {
  const { received, counters } = await impaired({ rateKbps: 10, queueMs: 400 }, { count: 50 });
  report(t, 'the longest wait', counters.longestWaitMs);
  assert.ok(counters.longestWaitMs <= 400);
  assert.ok(counters.overflowed > 0);
  // The first goes through at once, and as many as fit into 400 ms of 80 ms each wait.
  assert.ok(received.length >= 6, `${received.length}`);
  assert.deepEqual(received.slice(0, 6), [0, 1, 2, 3, 4, 5]);
  assert.equal(received.length + counters.overflowed, 50);
  assert.equal(counters.lost, 0);
});

test('bursts lose runs of datagrams, the same ones with the same seed', async (t) => {
  const bursts = { bursts: { share: 0.2, length: 5 } };
  const runs = [];
  const [one, again, other] = [
    await impaired(bursts, { count: 1_000, seed: 7 }),
    await impaired(bursts, { count: 1_000, seed: 7 }),
    await impaired(bursts, { count: 1_000, seed: 8 }),
  ];
  const arrived = new Set(one.received);
  for (let sequence = 0, run = 0; sequence <= 1_000; sequence += 1) {
    if (sequence < 1_000 && !arrived.has(sequence)) run += 1;
    else if (run > 0) {
      runs.push(run);
      run = 0;
    }
  }
  const mean = one.counters.lost / runs.length;
  report(t, 'lost in bursts', one.counters.lost / 10, '%');
  report(t, 'length of a burst', mean, 'datagrams');
  assert.ok(one.counters.lost > 100 && one.counters.lost < 350);
  assert.ok(mean > 3 && mean < 8);
  assert.deepEqual(one.received, again.received);
  assert.notDeepEqual(one.received, other.received);
});

test('jitter keeps order unless told otherwise', async () => {
  const kept = await impaired({ delayMs: 5, jitterMs: 60 }, { count: 200 });
  assert.equal(kept.received.length, 200);
  assert.ok(ascends(kept.received));
  const mixed = await impaired({ delayMs: 5, jitterMs: 60, reorder: true }, { count: 200 });
  assert.equal(mixed.received.length, 200);
  assert.ok(!ascends(mixed.received));
});

test('duplicates come twice', async () => {
  const { received, counters } = await impaired({ duplicates: 0.2 }, { count: 500 });
  assert.ok(counters.duplicated > 50 && counters.duplicated < 150, `${counters.duplicated}`);
  assert.equal(received.length, 500 + counters.duplicated);
  assert.equal(new Set(received).size, 500);
});

test('an impairment that does not exist is refused', async () => {
  const proxy = await startProxy({});
  assert.throws(() => proxy.impair({ up: { los: 1 } }), /los/);
  for (const profile of Object.values(PROFILES)) proxy.impair(profile);
  proxy.close();
});

/** A TCP server that answers with what it hears, or by `answer`; and what one client heard through a proxy. */
async function tcpThrough(down, talk, answer = (socket) => socket.pipe(socket)) {
  const server = createServer((socket) => answer(socket.on('error', () => {}))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startProxy({ tcpTarget: server.address().port });
  proxy.impair(down);
  const socket = connect(proxy.tcpPort, '127.0.0.1');
  const heard = { octets: 0, text: '', closed: false, first: null };
  socket.on('error', () => {}).on('close', () => (heard.closed = true)).on('data', (bytes) => {
    heard.first ??= performance.now();
    heard.octets += bytes.length;
    heard.text += bytes.subarray(0, 100);
  });
  await talk(socket, heard, proxy);
  socket.destroy();
  for (const one of [proxy, server]) one.close();
}

test('TCP is delayed each way, and a new connection by a round trip more', async (t) => {
  const began = performance.now();
  await tcpThrough({ up: { delayMs: 30 }, down: { delayMs: 50 } }, async (socket, heard) => {
    socket.write('one');
    await until('the first answer', () => heard.text === 'one');
    report(t, 'connected and answered over 80 ms', heard.first - began);
    assert.ok(heard.first - began >= 160);
    heard.first = null;
    const asked = performance.now();
    socket.write(' two');
    await until('the second answer', () => heard.text === 'one two');
    report(t, 'answered over 80 ms', heard.first - asked);
    assert.ok(heard.first - asked >= 80);
  });
});

test('TCP keeps its order and its octets, whatever becomes of the delay meanwhile', async () => {
  await tcpThrough({ up: { delayMs: 120 } }, async (socket, heard, proxy) => {
    socket.write('first');
    await until('the connection', () => !socket.connecting);
    proxy.impair({});
    socket.write(' second');
    await until('both', () => heard.text.length === 12);
    assert.equal(heard.text, 'first second');
    proxy.impair({ down: { delayMs: 20 } });
    socket.write(Buffer.alloc(3_000_000));
    await until('a large answer', () => heard.octets === 3_000_012);
  });
});

test('what was said before the connection was closed is still heard', async () => {
  const say = (socket) => socket.on('data', () => socket.end(Buffer.alloc(1_000_000)));
  await tcpThrough({ down: { delayMs: 40 } }, async (socket, heard) => {
    socket.write('say');
    await until('the end', () => heard.closed);
    assert.equal(heard.octets, 1_000_000);
  }, say);
});

test('a plan takes its steps in their order, each not before its time', async () => {
  const echo = await udpEcho();
  const proxy = await startProxy({ udpTarget: echo.port });
  const client = await udpClient(proxy.udpPort);
  client.send(1);
  await until('the client to be known', () => client.received.length === 1);
  const began = performance.now();
  const taken = proxy.plan([
    { at: 0, name: 'deaf', down: { loss: 1 } },
    { at: 120, name: 'hear', down: {} },
    { at: 60, name: 'mute', up: { loss: 1 } },
    { at: 60, name: 'move', act: 'rebind' },
  ]);
  assert.ok(taken.has('deaf'), 'what is due is done at once');
  await until('the plan to be over', () => taken.size === 4);
  assert.deepEqual([...taken.keys()], ['deaf', 'mute', 'move', 'hear']);
  assert.ok(taken.get('mute') >= began + 60 && taken.get('hear') >= began + 120);
  client.send(2);
  await until('the uplink still to be mute', () => proxy.counters().up.lost === 1);
  proxy.impair({});
  client.send(3);
  await until('the last answer', () => client.received.includes(3));
  assert.deepEqual(client.received, [1, 3]);
  assert.equal(echo.senders.size, 2, 'it has moved');
  for (const one of [client, proxy, echo]) one.close();
});
