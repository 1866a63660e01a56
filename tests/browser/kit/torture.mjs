/**
 * The messages of RFC 4475, by the names it gives them, and what a server gets to do with each: a call, an answer with a code, or silence.
 *
 * Each is an ordinary request of ours with the one thing in it that the RFC's has, as in the stack's own tests (`torture.rs`); what those
 * say of the agent alone is held here against the whole server. Where the RFC asks with REGISTER, so do we: no registrar, we refuse it.
 */
import { NO_SOUND } from './sip.mjs';

/** A call: the first answer is 100, the last 200. */
export const CALL = 100;
/** No answer. */
export const SILENCE = null;
/** Over a stream: nobody can tell where the next message begins, and the connection ends. */
export const CLOSED = 'closed';
/** Over a stream: more is waited for. */
export const WAITS = 'waits';

const URI = 'sip:+493012345@127.0.0.1';

/**
 * @typedef {object} Torture
 * @property {string} name the RFC's
 * @property {number | null} gets by datagram
 * @property {number | string | null} streams what it gets over a stream
 * @property {'requests' | 'malformed' | 'unreadable' | null} counts as what the server counts it
 * @property {(at: { transport: string, port: number }) => Buffer} bytes as sent from a port
 */

/** A request in order, but for the headers that are given: one of a name replaces ours, `Name:` alone takes it away. */
function request(start, headers = [], body = '') {
  return ({ transport, port }, name) => {
    const method = start.trim().split(/\s/)[0];
    const own = [
      `Via: SIP/2.0/${transport} 127.0.0.1:${port};branch=z9hG4bK${name};rport`,
      `From: <sip:+4989777@127.0.0.1:${port}>;tag=t`,
      `To: <${URI}>`,
      `Call-ID: ${name}-${port}@torture`,
      `CSeq: 1 ${method}`,
      `Contact: <sip:c@127.0.0.1:${port}>`,
      'Max-Forwards: 70',
      `Content-Length: ${Buffer.byteLength(body)}`,
    ];
    const nameOf = (line) => line.split(':')[0].trim().toLowerCase();
    const theirs = headers.map((line) => line.replaceAll('TRANSPORT', transport).replaceAll('PORT', String(port)));
    const kept = own.filter((line) => !theirs.some((other) => nameOf(other) === nameOf(line)));
    return [start, ...kept, ...theirs.filter((line) => !/^[\w-]+:$/.test(line)), '', body].join('\r\n');
  };
}

/** Nothing but these lines. */
const verbatim = (...lines) => ({ transport, port }) => lines.join('\r\n').replaceAll('TRANSPORT', transport).replaceAll('PORT', String(port));
const invite = (headers, body) => request(`INVITE ${URI} SIP/2.0`, headers, body);
const options = (headers, body) => request(`OPTIONS ${URI} SIP/2.0`, headers, body);
const register = (headers, body) => request('REGISTER sip:127.0.0.1 SIP/2.0', headers, body);
const response = (start, headers) => request(start, ['CSeq: 1 OPTIONS', ...(headers ?? [])]);
const sdp = 'Content-Type: application/sdp';

/** §3.1.1.1: folded, in odd capitals, with blanks in all places that have room for them. */
const tortuous = (tag) => verbatim(
  'INVITE sip:vivekg@127.0.0.1;unknownparam SIP/2.0',
  'TO :', ` sip:vivekg@127.0.0.1 ;   ${tag}    = 1918181833n`,
  'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@127.0.0.1>', '  ;', '  tag = 98asjd8',
  'MaX-fOrWaRdS: 0068',
  `Call-ID: wsinv-${tag}-PORT@torture`,
  `Content-Length   : ${NO_SOUND.length}`,
  'cseq: 0009', '  INVITE',
  'Via  : SIP  /   2.0', ' /TRANSPORT', `    127.0.0.1:PORT;rport;branch=390skdjuw${tag}`,
  's :',
  'NewFangledHeader:   newfangled value', ' continued newfangled value',
  'UnknownHeaderWithUnusualValue: ;;,,;;,;',
  'Content-Type: application/sdp',
  'Route:', ' <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
  'v:  SIP  / 2.0  / TCP     spindle.example.com   ;', '  branch  =   z9hG4bK9ikj8  ,',
  ' SIP  /    2.0   / UDP  192.168.255.111   ; branch=', ' z9hG4bK30239',
  'm:"Quoted string \\"\\"" <sip:jdrosen@127.0.0.1:PORT> ; newparam =', '      newvalue ;', '  secondparam ; q = 0.33',
  '', NO_SOUND,
);

/** Two messages, one behind the other. */
const twoIn = (first, second) => (at, name) => first(at, name) + second(at, `${name}-second`);

/** What the whole server gets: name, answer, how it is counted, the message, and what it gets over a stream where that differs. */
const ALL = [
  // §3.1.1: valid.
  ['wsinv', 481, 'requests', tortuous('tag')],
  ['wsinv-outside-of-calls', CALL, 'requests', tortuous('unknown')],
  ['intmeth', 501, 'malformed', request("!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@127.0.0.1 SIP/2.0")],
  ['esc01', CALL, 'requests', request('INVITE sip:sips%3Auser%40example.com@127.0.0.1 SIP/2.0', [sdp], NO_SOUND)],
  ['escnull', 405, 'requests', register(['Contact: <sip:%00@127.0.0.1:PORT>', 'Contact: <sip:%00%00@127.0.0.1:PORT>'])],
  ['esc02', 501, 'malformed', request('RE%47IST%45R sip:registrar.example.com SIP/2.0')],
  ['lwsdisp', 200, 'requests', options(['From: caller<sip:caller@example.com>;tag=323'])],
  ['longreq', CALL, 'requests', invite([sdp, `X-Long: ${'a'.repeat(2_000)}`, `Contact: "${'n'.repeat(500)}" <sip:c@127.0.0.1:PORT>`], NO_SOUND)],
  ['dblreq', 405, 'requests', twoIn(register(), invite([sdp], NO_SOUND))],
  ['semiuri', 200, 'requests', request('OPTIONS sip:user;par=u%40example.net@127.0.0.1 SIP/2.0')],
  ['transports', 200, 'requests', options(['Via: SIP/2.0/TRANSPORT 127.0.0.1:PORT;branch=z9hG4bKtr;rport, SIP/2.0/SCTP s;branch=z9hG4bKs, SIP/2.0/UNKNOWN u;branch=z9hG4bKu'])],
  ['mpart01', CALL, 'requests', invite(['Content-Type: multipart/mixed;boundary=b'], `--b\r\nContent-Type: application/sdp\r\n\r\n${NO_SOUND}\r\n--b--\r\n`)],
  ['unreason', SILENCE, null, response('SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e \u0441\u0442\u043e')],
  ['noreason', SILENCE, null, response('SIP/2.0 100 ')],
  // §3.1.2: invalid.
  ['badinv01', 400, 'malformed', invite(['Contact: "Joe" <sip:joe@example.org>;;;;,,;,@'])],
  ['clerr', 400, 'malformed', invite([sdp, 'Content-Length: 9999'], NO_SOUND), WAITS],
  ['ncl', 400, 'malformed', invite([sdp, 'Content-Length: -999'], NO_SOUND), CLOSED],
  ['scalar02', 400, 'malformed', register(['CSeq: 36893488147419103232 REGISTER', 'Max-Forwards: 300', 'Expires: 10000000000000000000000'])],
  ['scalarlg', SILENCE, null, response('SIP/2.0 503 Service Unavailable', ['CSeq: 9292394834772304023312 OPTIONS', 'Retry-After: 949302838503028349304023988'])],
  ['quotbal', 400, 'malformed', invite(['To: "Mr. J. User <sip:j.user@example.com>'])],
  ['ltgtruri', 400, 'malformed', request(`INVITE <${URI}> SIP/2.0`)],
  ['lwsruri', 400, 'malformed', request(`INVITE ${URI}; lr SIP/2.0`)],
  ['lwsstart', 400, 'malformed', request(`INVITE  ${URI}  SIP/2.0`)],
  ['trws', 400, 'malformed', request(`OPTIONS ${URI} SIP/2.0  `)],
  ['escruri', 400, 'malformed', request(`INVITE ${URI}?Route=%3Csip:example.com%3E SIP/2.0`)],
  ['baddate', CALL, 'requests', invite([sdp, 'Date: Fri, 01 Jan 2010 16:00:00 EST'], NO_SOUND)],
  ['regbadct', 400, 'malformed', register(['Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E'])],
  ['badaspec', 400, 'malformed', options(['To: "Watson, Thomas" < sip:t.watson@example.org >'])],
  ['baddn', 400, 'malformed', options(['From: Bell, Alexander <sip:a.g.bell@example.com>;tag=43'])],
  ['badvers', 505, 'malformed', request(`OPTIONS ${URI} SIP/7.0`)],
  ['mismatch01', 400, 'malformed', options(['CSeq: 8 INVITE'])],
  ['mismatch02', 501, 'malformed', request(`NEWMETHOD ${URI} SIP/2.0`, ['CSeq: 8 INVITE'])],
  ['bigcode', SILENCE, 'unreadable', response('SIP/2.0 4294967301 better not break the receiver')],
  // §3.2: transactions.
  ['badbranch', 200, 'requests', options(['Via: SIP/2.0/TRANSPORT 127.0.0.1:PORT;branch=z9hG4bK;rport'])],
  // §3.3: what a request is for.
  ['insuf', SILENCE, 'malformed', invite(['From:', 'To:', 'Call-ID:'])],
  ['unkscm', 416, 'malformed', request('OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0')],
  ['novelsc', 416, 'malformed', request('OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0')],
  ['unksm2', 405, 'requests', register(['To: isbn:2983792873', 'From: <http://www.example.com>;tag=3'])],
  ['bext01', 420, 'requests', options(['Require: nothingSupportsThis, nothingSupportsThisEither', 'Proxy-Require: noProxiesSupportThis'])],
  ['invut', 415, 'requests', invite(['Content-Type: application/unknownformat'], '<audio>')],
  ['regaut01', 405, 'requests', register(['Authorization: NoOneKnowsThisScheme opaque-data=here'])],
  ['multi01', 400, 'malformed', invite(['CSeq: 5 INVITE', 'CSeq: 59 INVITE', 'Call-ID: one@torture', 'Call-ID: two@torture', 'To: <sip:a@b>', 'To: <sip:c@d>'])],
  ['mcl01', 400, 'malformed', options(['Content-Length: 0', 'Content-Length: 5'])],
  ['bcast', SILENCE, null, response('SIP/2.0 200 OK', ['Via: SIP/2.0/TRANSPORT 127.0.0.1:PORT;branch=z9hG4bKb, SIP/2.0/TCP elsewhere.example.com;branch=z9hG4bKe'])],
  ['zeromf', 200, 'requests', options(['Max-Forwards: 0'])],
  ['cparam01', 405, 'requests', register(['Contact: sip:+19725552222@127.0.0.1:PORT;unknownparam'])],
  ['cparam02', 405, 'requests', register(['Contact: <sip:+19725552222@127.0.0.1:PORT;unknownparam>'])],
  ['regescrt', 405, 'requests', register(['Contact: <sip:user@127.0.0.1:PORT?Route=%3Csip:sip.example.com%3E>'])],
  ['sdp01', CALL, 'requests', invite([sdp, 'Accept: text/nobodyKnowsThis'], NO_SOUND)],
  // §3.4: of RFC 2543.
  ['inv2543', CALL, 'requests', invite([sdp, 'Via: SIP/2.0/TRANSPORT 127.0.0.1:PORT;rport', 'Max-Forwards:'], NO_SOUND)],
  // Of another world.
  ['noise', SILENCE, 'unreadable', verbatim('\u0016\u0003\u0001\u0002\u0001\u0001', '', ''), CLOSED],
  ['HTTP', SILENCE, 'malformed', verbatim('GET / HTTP/1.1', 'Host: x', '', ''), CLOSED],
];

/** @type {Torture[]} */
export const TORTURE = ALL.map(([name, gets, counts, write, streams = gets]) => ({ name, gets, counts, streams, bytes: (at) => Buffer.from(write(at, name)) }));
