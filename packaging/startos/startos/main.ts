// Runs the pool. All of its settings come from the environment; the file beside it is the owner's.
import { manifest as self } from "./manifest";
import { payee } from "./payee";
import pool from "./pool.json";
import { sdk } from "./sdk";

export const main = sdk.setupMain(async ({ effects }) => {
  const address = (await payee.read().const(effects))?.address;
  if (!address) throw new Error("no payout address is set yet");
  const node = await sdk.host
    .getBridgeAddress(effects, {
      packageId: "bitcoind",
      hostId: pool.bitcoind.rpcHost,
      internalPort: pool.bitcoind.rpcPort,
      ssl: false,
    })
    .const();
  if (!node) throw new Error("the Bitcoin node cannot be reached yet");
  const mounts = sdk.Mounts.of()
    .mountVolume({ volumeId: "main", subpath: null, mountpoint: pool.data, readonly: false })
    .mountDependency({
      dependencyId: "bitcoind",
      volumeId: "main",
      subpath: null,
      mountpoint: pool.bitcoind.mountpoint,
      readonly: true,
    });
  return sdk.Daemons.of(effects).addDaemon("pool", {
    subcontainer: sdk.SubContainer.of(effects, { imageId: self.id }, mounts, "pool"),
    exec: {
      command: ["/usr/bin/adit", "pool", "-c", `${pool.data}/${pool.config}`],
      user: "root",
      sigtermTimeout: pool.shutdownSeconds * 1000,
      env: {
        ...pool.environment,
        ADIT_POOL__PAYOUT_ADDRESS: address,
        ADIT_POOL__DAEMON__URL: `http://${node}`,
      },
    },
    ready: {
      display: "Pool",
      fn: () =>
        sdk.healthCheck.checkPortListening(effects, pool.minersPort, {
          successMessage: "Miners can connect.",
          errorMessage: "The pool has no work yet.",
        }),
    },
    requires: [],
  });
});
