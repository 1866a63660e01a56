/**
 * What went wrong, in words for a person: chosen by the server's code, never by status or exception text.
 */

import { ApiError } from '../protocol/http.js';
import { en } from '../text/en.js';

/** @param {unknown} error */
export const explain = (error) => (error instanceof ApiError ? en.error(error.code, error.message) : en.error('unexpected', ''));
