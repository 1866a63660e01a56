/**
 * The words about phones, in English.
 */

export const phones = {
  invitation: 'Invitation',
  invitationText: 'Send this to whoever should come.',
  orCall: 'Or call',
  /** One line of an invitation that is sent. @param {{ number: string, name: string }} line @param {string} conferenceId */
  invitationLine: ({ number, name }, conferenceId) => `Or call ${number}${name === '' ? '' : ` (${name})`}, conference id ${conferenceId}#`,
  conferenceId: 'Conference id',
  conferenceHint: 'Enter it when a voice asks you to.',
  pin: 'Your PIN, for you alone',
  pinHint: 'Enter it after the conference id to come in as the organiser. No invitation contains it.',
};
