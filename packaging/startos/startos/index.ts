// What StartOS calls.
import { buildManifest, IMPOSSIBLE, VersionGraph, VersionInfo } from "@start9labs/start-sdk";
import { setInterfaces } from "./interfaces";
import { main } from "./main";
import { manifest as facts } from "./manifest";
import { actions, askForPayee } from "./payee";
import pool from "./pool.json";
import { sdk } from "./sdk";

const current = VersionInfo.of({
  // Behind the colon: the package's own number, for the same program.
  version: "0.1.0:0",
  releaseNotes: { en_US: "The first package." },
  migrations: { up: async () => {}, down: IMPOSSIBLE },
});
const versions = VersionGraph.of({ current, other: [] });

// What the program reads beside its environment: the owner may write more into it.
const writeConfig = sdk.setupOnInit(async (_, kind) => {
  if (kind !== "install") return;
  await sdk.volumes.main.writeFile(pool.config, "[[pool]]\n[[pool.listener]]\n[[pool.daemon]]\n");
});

const setDependencies = sdk.setupDependencies(async () => ({
  bitcoind: { kind: "running", versionRange: ">=28.0:0", healthChecks: ["bitcoind"] },
}));

const backups = sdk.setupBackups(async () => sdk.Backups.ofVolumes("main"));

export { actions, main };
export const createBackup = backups.createBackup;
export const init = sdk.setupInit(
  backups.restoreInit,
  versions,
  writeConfig,
  setInterfaces,
  setDependencies,
  actions,
  askForPayee,
);
export const uninit = sdk.setupUninit(versions);
export const manifest = buildManifest(versions, facts);
