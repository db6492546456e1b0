// Makes the tokens of node.json, as jsonwebtoken makes them by default.
//
//     npm install && node make.mjs > node.json

import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const jwt = require("jsonwebtoken");
const { version } = require("jsonwebtoken/package.json");

const made = [];
for (const secret of ["an application's own secret, as long as it has to be", "secret"]) {
  for (const [payload, options] of [
    [{ sub: "42", exp: 4102444800 }, {}],
    [{ sub: 42, exp: 4102444800 }, {}],
    [{ userId: 42, exp: 4102444800 }, { subject: "42", jwtid: "c8e5f0d7b11" }],
    [{ sub: "42", exp: 4102444800 }, { issuer: "shop", audience: "web" }],
    [{ sub: "42", exp: 4102444800 }, { noTimestamp: true }],
  ]) {
    const token = jwt.sign(payload, secret, options);
    const claims = Buffer.from(token.split(".")[1], "base64url").toString();
    made.push({ library: `jsonwebtoken ${version}`, secret, claims, token });
  }
}
console.log(JSON.stringify(made, null, 1));
