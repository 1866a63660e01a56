// One blob server for the tests, with an empty bucket or container `plenum`:
//
//     node serve.mjs s3 FOLDER | azure
//
// Prints `ready PORT` when it can be asked. Ends when its standard input does, so that it never outlives the tests,
// however they end. The keys are the well-known ones of these servers.
import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { createServer } from "node:net";

import { isSigned } from "./sigv4.mjs";

const require = createRequire(import.meta.url);
process.stdin.on("end", () => process.exit(0)).resume();

const [kind, folder] = process.argv.slice(2);
const port = kind === "s3" ? await serveS3(folder) : await serveAzure();
console.log(`ready ${port}`);

async function serveS3(directory) {
  const S3rver = require("s3rver");
  const server = new S3rver({ address: "127.0.0.1", port: 0, silent: true, directory, configureBuckets: [{ name: "plenum" }] });
  // Unlike Amazon's, this server's buckets are open to everybody.
  server.middleware.unshift(async (ctx, next) => {
    if (isSigned(ctx.req, "S3RVER")) await next();
    else ctx.status = 403;
  });
  return (await server.run()).port;
}

async function serveAzure() {
  const port = await freePort();
  const options = ["--blobHost", "127.0.0.1", "--blobPort", `${port}`, "--inMemoryPersistence", "--disableTelemetry", "--silent"];
  process.argv.splice(1, process.argv.length, "azurite-blob", ...options);
  require("azurite/dist/src/blob/main.js");
  while (!(await makeContainer(port))) await new Promise((resolve) => setTimeout(resolve, 50));
  return port;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

// Shared Key: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
async function makeContainer(port) {
  const account = "devstoreaccount1";
  const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
  const headers = { "x-ms-date": new Date().toUTCString(), "x-ms-version": "2023-11-03" };
  const listed = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
  const text = ["PUT", ...Array(11).fill(""), ...listed, `/${account}/${account}/plenum`, "restype:container"].join("\n");
  const signature = createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  const url = `http://127.0.0.1:${port}/${account}/plenum?restype=container`;
  const answer = await fetch(url, { method: "PUT", headers: { ...headers, authorization: `SharedKey ${account}:${signature}` } })
    .catch(() => undefined);
  if (answer && answer.status !== 201) throw new Error(`the container was not made: ${answer.status} ${await answer.text()}`);
  return answer !== undefined;
}
