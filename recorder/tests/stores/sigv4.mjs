// Whether a request to S3 is signed as it must be: s3rver checks when a link ends, but not its signature.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
import { createHash, createHmac } from "node:crypto";

const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const encoded = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** @param {{ method: string, url: string, headers: Record<string, string> }} request */
export function isSigned({ method, url, headers }, secret) {
  const [path, search] = url.split("?");
  const query = new URLSearchParams(search);
  const header = /Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=(\w+)/.exec(headers.authorization ?? "");
  const [credential, names, signature] = header?.slice(1) ??
    ["X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature"].map((name) => query.get(name));
  if (!credential || !names || !signature) return false;

  query.delete("X-Amz-Signature");
  const pairs = [...query].map(([name, value]) => `${encoded(name)}=${encoded(value)}`).sort();
  const signed = names.split(";").map((name) => `${name}:${headers[name]?.trim()}\n`);
  const payload = header ? headers["x-amz-content-sha256"] : "UNSIGNED-PAYLOAD";
  const request = [method, path, pairs.join("&"), signed.join(""), names, payload].join("\n");

  const [, day, region, service, end] = credential.split("/");
  const time = header ? headers["x-amz-date"] : query.get("X-Amz-Date");
  const text = ["AWS4-HMAC-SHA256", time, [day, region, service, end].join("/"), sha256(request)].join("\n");
  const key = [day, region, service, end].reduce(hmac, `AWS4${secret}`);
  return hmac(key, text).toString("hex") === signature;
}
