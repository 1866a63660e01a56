/**
 * Who may do what, who waits in the lobby (perhaps we ourselves), and the signs that people give.
 *
 * Why apart from the meeting: while we wait there is no meeting, only this. And what a page offers to do follows from the
 * rights that the server names, not from a role that the page would have to interpret.
 *
 *   lobby, waiting, rights, options, reactions, welcome -> reduceOrder -> Order -> ui/lobby, people, controls
 */

/** @import { LobbyReason, MeetingOptions, Reaction, Right, ServerMessage, WaitingPerson } from '../protocol/messages.js' */

/** @typedef {{ id: number, participantId: string, reaction: Reaction }} Sign A reaction that is on the screen. */
/**
 * @typedef {object} Order
 * @property {LobbyReason | null} lobby Why we wait; null: we do not.
 * @property {readonly Right[]} may All that we may do.
 * @property {MeetingOptions} options
 * @property {ReadonlyMap<string, WaitingPerson>} waiting In the order in which they came.
 * @property {readonly Sign[]} signs
 * @property {number} nextSign
 * @property {number} rosterSeq Of the newest roster message.
 * @property {boolean} gap A roster message is missing: only a new welcome helps.
 */

/** Signs on the screen at once; older ones make room. */
const SIGNS_MAX = 8;

/** @type {Order} */
export const NO_ORDER = {
  lobby: null,
  may: [],
  options: { isLocked: false, areAnonymousHeld: false, allowAttendeeToEnableMic: true, allowAttendeeToEnableCamera: true },
  waiting: new Map(),
  signs: [],
  nextSign: 1,
  rosterSeq: 0,
  gap: false,
};

/** Whether we may do that. @param {{ order: Order }} state @param {Right} right */
export const may = ({ order }, right) => order.may.includes(right);

/** @param {Order} order @param {ServerMessage} message @returns {Order} */
export function reduceOrder(order, message) {
  switch (message.type) {
    case 'lobby':
      return { ...NO_ORDER, lobby: message.reason };
    case 'welcome':
      // Who waits is told anew, if it is ours to know.
      return { ...order, lobby: null, may: message.may, options: message.options, waiting: new Map(), rosterSeq: message.rosterSeq, gap: false };
    case 'rights':
      return { ...order, may: message.may };
    case 'options': {
      const { isLocked, areAnonymousHeld, allowAttendeeToEnableMic, allowAttendeeToEnableCamera } = message;
      return { ...order, options: { isLocked, areAnonymousHeld, allowAttendeeToEnableMic, allowAttendeeToEnableCamera } };
    }
    case 'waiting': {
      const waiting = new Map(message.all ? [] : order.waiting);
      for (const id of message.removed) waiting.delete(id);
      for (const person of message.added) waiting.set(person.id, person);
      return { ...order, waiting };
    }
    case 'roster':
      return { ...order, rosterSeq: message.rosterSeq, gap: order.gap || message.rosterSeq !== order.rosterSeq + 1 };
    case 'reactions': {
      const signs = message.reactions.map((sign, index) => ({ ...sign, id: order.nextSign + index }));
      return { ...order, nextSign: order.nextSign + signs.length, signs: [...order.signs, ...signs].slice(-SIGNS_MAX) };
    }
    default:
      return order;
  }
}

/** Signs have been seen. @param {Order} order @param {number} upto @returns {Order} */
export const forgetSigns = (order, upto) => ({ ...order, signs: order.signs.filter(({ id }) => id > upto) });
