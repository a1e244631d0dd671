// Where rewards go: asked of the owner, and kept in the volume.
import { FileHelper, z } from "@start9labs/start-sdk";
import { sdk } from "./sdk";

const { InputSpec, Value } = sdk;

export const payee = FileHelper.json(
  { base: sdk.volumes.main, subpath: "payee.json" },
  z.object({ address: z.string().catch("") }),
);

export const setPayee = sdk.Action.withInput(
  "set-payee",
  async () => ({
    name: "Payout address",
    description: "The address that rewards go to. The pool starts once there is one.",
    warning: null,
    allowedStatuses: "any",
    group: null,
    visibility: "enabled",
  }),
  InputSpec.of({
    address: Value.text({
      name: "Address",
      description: "An address of yours on Bitcoin's main chain.",
      required: true,
      default: null,
      maxLength: 90,
      patterns: [{ regex: "^[0-9A-Za-z]+$", description: "Letters and digits." }],
    }),
  }),
  async () => ({ address: (await payee.read().once())?.address || undefined }),
  async ({ effects, input }) => {
    await payee.merge(effects, { address: input.address });
  },
);

export const actions = sdk.Actions.of().addAction(setPayee);

export const askForPayee = sdk.setupOnInit(async (effects) => {
  if ((await payee.read().const(effects))?.address) return;
  await sdk.action.createOwnTask(effects, setPayee, "critical", {
    reason: "The pool has to know where rewards go.",
  });
});
