//! From a daemon's `getblocktemplate` to a template of Vision's family: what it has beside Bitcoin's.

use mining::{Coin, Network, Target, vision};

use super::{
    reply::BlockTemplate,
    template::{Refused, body},
};

/// The one version of headers of Vision's family.
const VISION_HEADER_VERSION: u32 = 1;

/// The network's has 7 bytes.
const CHAIN_ID_LIMIT: usize = 64;

/// Makes the template of Vision's family.
pub(super) fn vision_template(
    reply: &BlockTemplate<'_>,
    coin: &Coin,
    network: Network,
) -> Result<vision::Template, Refused> {
    let difficulty = reply.difficulty.ok_or(Refused::NoVisionX("difficulty"))?;
    let hashed = reply.visionx.as_ref();
    let hashed = hashed.ok_or(Refused::NoVisionX("chain and figures"))?;
    if hashed.header_version != VISION_HEADER_VERSION {
        return Err(Refused::HeaderVersion(hashed.header_version));
    }
    let target = Target::from_hex(&reply.target)?;
    if target != vision::target_of(difficulty) {
        return Err(Refused::NotItsTarget(difficulty));
    }
    if hashed.chain_id.len() > CHAIN_ID_LIMIT {
        return Err(Refused::OutOfRange { field: "chain_id" });
    }
    let mut genesis = [0; 32];
    hex::decode_to_slice(&*hashed.genesis_pow_hash, &mut genesis).map_err(|_| Refused::NotHex {
        field: "genesis_pow_hash",
    })?;
    let chain = vision::Chain {
        id: hashed.chain_id.clone().into_owned(),
        genesis,
        params: hashed.params,
    };
    let (body, txids) = body(reply, coin, network, 0, target)?;
    Ok(vision::Template::new(body, &txids, difficulty, chain))
}
