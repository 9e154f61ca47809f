// An OIDC provider for one test: node provider.mjs MODULES REDIRECT-URI...
//
// Prints its address when it is ready, and ends when its input does. Everybody may log in, under
// any name and with any password; the pages are those that oidc-provider has for development.
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [modules, ...redirect_uris] = process.argv.slice(2);
console.warn = console.info = () => {};
const { Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

const server = createServer();
server.listen(0, "127.0.0.1", () => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const provider = new Provider(issuer, {
        clients: [
            {
                client_id: "bao",
                client_secret: "of-the-client",
                // Loopback addresses match whatever their port.
                application_type: "native",
                redirect_uris,
                response_types: ["code", "id_token"],
                grant_types: [
                    "authorization_code",
                    "implicit",
                    "urn:ietf:params:oauth:grant-type:device_code",
                ],
            },
        ],
        responseTypes: ["code", "id_token"],
        features: { deviceFlow: { enabled: true } },
        findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
        cookies: { keys: ["of this test"] },
    });
    server.on("request", provider.callback());
    process.stdout.write(`${issuer}\n`);
});
process.stdin.resume().on("end", () => process.exit());
