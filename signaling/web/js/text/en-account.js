/**
 * What the page says about accounts: colleagues who are invited, devices of one's own.
 */

export const account = {
  invite: 'Invite a colleague',
  inviteText: 'They get an account of their own: meetings, chats and recordings. Guests of one meeting need none, only its link.',
  name: 'Their name',
  mail: 'Their mail address (optional)',
  make: 'Make the link',
  /** @param {string} name */
  made: (name) => `The link for ${name} is ready`,
  madeText: 'Hand it over as you would a key: it works once, within a week, for whoever opens it.',
  copy: 'Copy the link',
  copied: 'Copied',
  account: 'Account',
  /** @param {string} name */
  heading: (name) => `Signed in as ${name}`,
  device: 'Sign in on another device',
  deviceText: 'Point the camera of the other device here, or open the link there. It works once, within ten minutes.',
  qrCode: 'The link as a QR code',
  signOut: 'Sign out',
  everywhere: 'Sign out everywhere',
  everywhereText: 'Every device, every program with a token of yours, and every link that was not used yet is signed out at once.',
  cancel: 'Cancel',
  done: 'Done',
};
