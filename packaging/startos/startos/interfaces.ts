// What can be reached: the pages, and the port of miners.
import pool from "./pool.json";
import { sdk } from "./sdk";

const one = {
  masked: false,
  schemeOverride: null,
  username: null,
  path: "",
  query: {},
};

export const setInterfaces = sdk.setupInterfaces(async ({ effects }) => {
  const host = sdk.MultiHost.of(effects, "main");
  const http = await host.bindPort(pool.httpPort, { protocol: "http" });
  const pages = sdk.createInterface(effects, {
    ...one,
    id: "pages",
    name: "Pages",
    description: "The pool's pages and its API.",
    type: "ui",
  });
  const stratum = await host.bindPort(pool.minersPort, {
    protocol: null,
    addSsl: null,
    preferredExternalPort: pool.minersPort,
    secure: { ssl: false },
  });
  const miners = sdk.createInterface(effects, {
    ...one,
    id: "miners",
    name: "Miners",
    description: "Where miners connect by Stratum.",
    type: "api",
  });
  return [await http.export([pages]), await stratum.export([miners])];
});
