// What StartOS shows of adit, and what the package is made of.
import { setupManifest } from "@start9labs/start-sdk";
import pool from "./pool.json";

export const manifest = setupManifest({
  id: "adit",
  title: "adit",
  license: "MIT OR Apache-2.0",
  packageRepo: "",
  upstreamRepo: "",
  marketingUrl: "",
  donationUrl: null,
  description: {
    short: "A mining pool in one program",
    long: "Lets your miners work on the blocks of your own Bitcoin node. Each keeps the blocks that it finds.",
  },
  volumes: ["main"],
  images: {
    adit: { source: { dockerTag: pool.image }, arch: ["x86_64", "aarch64"] },
  },
  dependencies: {
    bitcoind: {
      description: "Gives the pool its work and takes the blocks that are found.",
      optional: false,
      s9pk: null,
    },
  },
});
