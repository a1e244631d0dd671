// Mines some shares with the npm package stratum-client, whose ids are texts and whose params may be
// empty, then sends the last share again to see it refused.
//
//     node mine.js PORT USER SHARES
//
// Run by tests/clients.rs. It ends with 0 if the pool said what it should, and with 1 and a reason
// if not.
'use strict';

const { createHash } = require('node:crypto');
const startClient = require('stratum-client');

// Longer than a busy machine needs.
const PATIENCE_MS = 30000;

const [port, user, wanted] = process.argv.slice(2);
const hashOnce = (bytes) => createHash('sha256').update(bytes).digest();
const hash = (bytes) => hashOnce(hashOnce(bytes));

const fail = (reason) => {
  console.error(reason);
  process.exit(1);
};
setTimeout(() => fail('no end in time'), PATIENCE_MS);

// The target of a difficulty, which has at most 32 binary places.
const targetOf = (difficulty) => {
  const steps = BigInt(Math.round(difficulty * 2 ** 32));
  return ((0xffffn << 208n) << 32n) / steps;
};

const reversed = (hex) => Buffer.from(hex, 'hex').reverse();

// A nonce for this extranonce2, searched from zero.
const solve = (work, extranonce2) => {
  const coinbase = work.coinb1 + work.extraNonce1 + extranonce2 + work.coinb2;
  let root = hash(Buffer.from(coinbase, 'hex'));
  for (const sibling of work.merkle_branch) {
    root = hash(Buffer.concat([root, Buffer.from(sibling, 'hex')]));
  }
  const header = Buffer.concat([
    reversed(work.version),
    Buffer.from(work.prevhash, 'hex').swap32(),
    root,
    reversed(work.ntime),
    reversed(work.nbits),
    Buffer.alloc(4),
  ]);
  const target = targetOf(work.miningDiff);
  for (let nonce = 0; ; nonce += 1) {
    header.writeUInt32LE(nonce, 76);
    if (BigInt('0x' + hash(header).reverse().toString('hex')) <= target) {
      return nonce.toString(16).padStart(8, '0');
    }
  }
};

let work = null;
let accepted = 0;
let last = null;

const submitNext = () => {
  const extranonce2 = accepted.toString(16).padStart(2 * work.extraNonce2Size, '0');
  last = {
    worker_name: user,
    job_id: work.jobId,
    extranonce2,
    ntime: work.ntime,
    nonce: solve(work, extranonce2),
  };
  client.submit(last);
};

const client = startClient({
  server: '127.0.0.1',
  port: Number(port),
  worker: user,
  password: 'x',
  autoReconnectOnError: false,
  onError: (error) => fail(`connection: ${error.message}`),
  onClose: () => fail('the pool hung up'),
  onAuthorizeFail: (error) => fail(`not authorized: ${JSON.stringify(error)}`),
  onNewMiningWork: (newest) => {
    const isFirst = work === null;
    work = newest;
    if (isFirst) submitNext();
  },
  onSubmitWorkSuccess: () => {
    accepted += 1;
    if (accepted < Number(wanted)) submitNext();
    else client.submit(last);
  },
  onSubmitWorkFail: (error) => {
    if (accepted < Number(wanted) || !error || error[0] !== 22) {
      fail(`share ${accepted} refused: ${JSON.stringify(error)}`);
    }
    console.log(`${accepted} accepted, then a duplicate`);
    process.exit(0);
  },
});
