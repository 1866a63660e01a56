/**
 * Certificates that vouch for themselves, and are none of an authority: whoever trusts one trusts just that.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @param {string} folder where its files go
 * @param {string} names as openssl writes them, such as `DNS:localhost,IP:127.0.0.1`
 * @returns {{key: string, certificate: string, both: string}} PEM files
 */
export function makeCertificate(folder, names) {
  const [key, certificate, both] = ['key.pem', 'certificate.pem', 'both.pem'].map((name) => join(folder, name));
  const wish = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  const extensions = ['basicConstraints=critical,CA:FALSE', `subjectAltName=${names}`].flatMap((extension) => ['-addext', extension]);
  execFileSync('openssl', [...wish, ...extensions, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
  writeFileSync(both, Buffer.concat([readFileSync(certificate), readFileSync(key)]));
  return { key, certificate, both };
}
