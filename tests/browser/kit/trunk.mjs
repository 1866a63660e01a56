/**
 * A server that telephones can reach: its SIP port, a trunk for each address that calls or is called, and prompts that are tones.
 */
import { join } from 'node:path';
import { mediaDir } from './env.mjs';
import { freePort, freePorts } from './ports.mjs';
import { startServer } from './server.mjs';
import { writePrompts } from './sound.mjs';

/** Bump when the prompts' tones change. */
const VERSION = 3;
/** At a time; each takes two ports. */
const CALLS = 20;

/**
 * @param {object} options
 * @param {Record<string, string | number | boolean>[]} options.trunks as the sections of the configuration
 * @param {Record<string, string>} [options.phone] further settings of `[phone]`, in small letters
 * @param {Record<string, string>} [options.env] of other sections, as PLENUM__SECTION__KEY
 */
export async function startPhoneServer({ trunks, phone = {}, env = {} }) {
  const sip = await freePort();
  const media = await freePorts(2 * CALLS);
  const settings = {
    udp: `127.0.0.1:${sip}`,
    media_ports: `${media}-${media + 2 * CALLS - 1}`,
    calls: String(CALLS),
    prompts: writePrompts(join(mediaDir, `prompts-v${VERSION}`)),
    numbers__0__number: '+49 30 12345',
    numbers__0__name: 'Berlin',
    ...Object.fromEntries(trunks.flatMap((trunk, n) => Object.entries(trunk).map(([key, value]) => [`trunks__${n}__${key}`, String(value)]))),
    ...phone,
  };
  const named = Object.entries(settings).map(([key, value]) => [`PLENUM__PHONE__${key.toUpperCase()}`, value]);
  const server = await startServer({ env: { ...Object.fromEntries(named), ...env } });
  server.sip = sip;
  return server;
}

/** What is dialled to reach the server. */
export const lineOf = (server, user = '+493012345') => `sip:${user}@127.0.0.1:${server.sip}`;

/** How to dial in, as the organiser gets it. @returns {Promise<{conferenceId: string, organizerPin: string, phoneNumbers: any[]}>} */
export async function dialInOf({ page }, meeting) {
  const { audioConferencing } = await page.evaluate(async (id) => (await fetch(`/v1/onlineMeetings/${id}`)).json(), meeting.id);
  return { ...audioConferencing, conferenceId: audioConferencing.conferenceId.replaceAll(' ', '') };
}
