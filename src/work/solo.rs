//! The work of a worker whose blocks pay it alone, where a port is such a one: the offer's, with a coinbase of
//! the worker's own. It is made once for each offer; jobs that were made of it before keep theirs.

use std::sync::Arc;

use mining::{Address, AnyTemplate, device::CoinbaseClass};

use super::job::AnyWork;
use crate::template_feed::{Offer, Recipe};

/// What one worker's jobs are made of.
pub(super) struct Solo {
    address: Address,
    /// What was made last, and the job of the offer that it was made of.
    made: Option<(u32, AnyWork)>,
}

impl Solo {
    /// Of the worker that is paid at this address.
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            made: None,
        }
    }

    /// The offer's work for this worker; nothing where none can be made of it.
    pub(super) fn work(&mut self, recipe: Option<&Recipe>, offer: &Offer) -> Option<AnyWork> {
        if let Some((of, work)) = &self.made
            && *of == offer.job_id
        {
            return Some(work.clone());
        }
        let work = self.make(recipe, offer)?;
        self.made = Some((offer.job_id, work.clone()));
        Some(work)
    }

    fn make(&self, recipe: Option<&Recipe>, offer: &Offer) -> Option<AnyWork> {
        let class = CoinbaseClass::Huge;
        Some(match &offer.template {
            AnyTemplate::Bitcoin(template) => {
                let (recipe, script) = (recipe?, self.address.script()?);
                let algorithm = recipe.algorithm()?;
                let made = recipe.solo(template, algorithm, offer.tip, class, script);
                AnyWork::Bitcoin(Arc::clone(&made.ok()?.shared))
            }
            AnyTemplate::Vision(template) => {
                let (recipe, script) = (recipe?, self.address.script()?);
                let miner = self.address.as_str().parse().ok()?;
                let made = recipe.solo_vision(template, offer.tip, miner, script);
                AnyWork::Vision(Arc::new(made.ok()?))
            }
            // The daemon has made the coinbase, and whom it pays is who alone may mine here.
            AnyTemplate::CryptoNote(_) => return AnyWork::of(offer),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU64, time::Duration};

    use mining::{
        Amount, Coin, Network, Target, Template,
        coinbase::{Output, Payees},
        template::{Room, TemplateKind, Transactions},
        vision,
    };
    use pow::{Algorithm, Hash, visionx::Params};
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        daemon::Feed,
        template_feed::{Follower, Headers, JobIds, Newest},
    };

    const WORKER: &str = "bcrt1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qzf4jry";
    const KEEPER: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    const TAG: &[u8] = b"/adit/";

    fn address(text: &str) -> Address {
        let coin: &Coin = "bitcoin".parse().unwrap();
        Address::parse(coin, Network::Regtest, text).unwrap()
    }

    /// A block of this height with so many transactions, whose fees are in its value.
    fn body(height: u32, count: u8) -> Template {
        let txids: Vec<Hash> = (0..count).map(|id| Hash([id; 32])).collect();
        let fees = u64::from(count) * 1_000;
        Template {
            height,
            version: 0x2000_0000,
            previous: Hash([u8::try_from(height % 251).unwrap(); 32]),
            bits: 0x207f_ffff,
            target: Target::MAX,
            time: 1_800_000_000,
            min_time: 1_799_999_000,
            value: Amount::from_units(5_000_000_000 + fees),
            fees: Amount::from_units(fees),
            witness_commitment: None,
            coinbase_flags: vec![],
            transactions: Transactions::new("aa".repeat(txids.len()), &txids),
            tail: String::new(),
            room: Room::EMPTY_BLOCK,
            kind: TemplateKind::Full,
        }
    }

    fn template(header: &Headers, height: u32, count: u8) -> AnyTemplate {
        let body = body(height, count);
        match header {
            Headers::Bitcoin(_) => AnyTemplate::Bitcoin(Arc::new(body)),
            Headers::Vision(_) => {
                let txids: Vec<Hash> = (0..count).map(|id| Hash([id; 32])).collect();
                let chain = vision::Chain {
                    id: "test".into(),
                    genesis: [0; 32],
                    params: Params::LITE,
                };
                let difficulty = NonZeroU64::new(1_000).unwrap();
                let template = vision::Template::new(body, &txids, difficulty, chain);
                AnyTemplate::Vision(Arc::new(template))
            }
        }
    }

    fn recipe(header: Headers) -> Recipe {
        Recipe {
            tag: TAG.to_vec(),
            payees: Payees {
                outputs: Vec::new(),
                keeper: address(KEEPER).script().unwrap().to_vec(),
            },
            split: None,
            extranonce2_size: 8,
            header,
            mark: None,
        }
    }

    /// What connections mine, now that this is the newest template.
    fn offer(follower: &mut Follower, template: AnyTemplate) -> Arc<Offer> {
        let newest = follower.newest(&Feed::Template {
            template,
            received: Instant::now(),
            daemon: 0,
        });
        match newest {
            Some(Newest::Offer(offer)) => offer,
            other => panic!("{other:?}"),
        }
    }

    fn is_same(one: &AnyWork, other: &AnyWork) -> bool {
        match (one, other) {
            (AnyWork::Bitcoin(one), AnyWork::Bitcoin(other)) => Arc::ptr_eq(one, other),
            (AnyWork::Vision(one), AnyWork::Vision(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// What there is to say of work.
    #[derive(Debug, PartialEq)]
    struct Facts {
        tip: u64,
        height: u32,
        paid: Vec<Output>,
        /// As the header says, if it does.
        miner: Option<String>,
    }

    fn facts(work: &AnyWork) -> Facts {
        match work {
            AnyWork::Bitcoin(work) => Facts {
                tip: work.tip,
                height: work.template.height,
                paid: work.coinbase.paid().to_vec(),
                miner: None,
            },
            AnyWork::Vision(work) => Facts {
                tip: work.tip,
                height: work.template.body().height,
                paid: work.coinbase.paid().to_vec(),
                miner: Some(work.miner.as_str().to_owned()),
            },
            AnyWork::CryptoNote(..) => panic!("not of this family"),
        }
    }

    /// What happens between two questions for work.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Nothing,
        /// Other transactions at the same height.
        Transactions(u8),
        Block(u8),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Nothing),
            (0..20u8).prop_map(Event::Transactions),
            (0..20u8).prop_map(Event::Block),
        ]
    }

    /// All that a worker is told pays it alone, and the whole value; the same offer is the same work, and each
    /// other offer is other work. Jobs of the work before are not touched.
    fn follows_the_offers(header: Headers, events: &[Event]) {
        let recipe = recipe(header.clone());
        let mut follower = Follower::new(Some(recipe.clone()), Duration::ZERO, JobIds::new());
        let mut offer_of = |height, count| offer(&mut follower, template(&header, height, count));
        let script = address(WORKER).script().unwrap().to_vec();
        let mut solo = Solo::new(address(WORKER));
        let mut height = 100;
        let mut offer = offer_of(height, 0);
        let mut made: Vec<(AnyWork, Facts)> = Vec::new();
        for event in [&[Event::Nothing], events].concat() {
            match event {
                Event::Nothing => {}
                Event::Transactions(count) => offer = offer_of(height, count),
                Event::Block(count) => {
                    height += 1;
                    offer = offer_of(height, count);
                }
            }
            let work = solo.work(Some(&recipe), &offer).unwrap();
            let is_new = !matches!(event, Event::Nothing);
            if let Some((before, _)) = made.last() {
                assert_eq!(is_same(before, &work), !is_new);
            }
            let told = facts(&work);
            assert_eq!((told.tip, told.height), (offer.tip, height));
            let value = match &offer.template {
                AnyTemplate::Bitcoin(template) => template.value,
                AnyTemplate::Vision(template) => template.body().value,
                AnyTemplate::CryptoNote(_) => panic!("not of this family"),
            };
            let whole = Output {
                amount: value,
                script: script.clone(),
            };
            assert_eq!(told.paid, [whole]);
            assert!(told.miner.as_ref().is_none_or(|miner| miner == WORKER));
            // What everybody else mines pays the keeper.
            let shared = facts(&AnyWork::of(&offer).unwrap());
            assert_eq!(shared.paid[0].script, address(KEEPER).script().unwrap());
            assert!(shared.miner.is_none_or(|miner| miner == KEEPER));
            made.push((work, told));
        }
        assert!(made.iter().all(|(work, told)| facts(work) == *told));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn solo_work_of_bitcoin_is_made_anew_with_each_offer_and_pays_its_worker_alone(
            events in prop::collection::vec(event(), 0..12)
        ) {
            follows_the_offers(Headers::Bitcoin(Algorithm::Sha256d), &events);
        }

        #[test]
        fn solo_work_of_vision_is_made_anew_with_each_offer_and_pays_its_worker_alone(
            events in prop::collection::vec(event(), 0..12)
        ) {
            follows_the_offers(Headers::Vision(KEEPER.parse().unwrap()), &events);
        }
    }

    #[test]
    fn no_solo_work_is_made_without_a_recipe() {
        let header = Headers::Bitcoin(Algorithm::Sha256d);
        let recipe = recipe(header.clone());
        let mut follower = Follower::new(Some(recipe.clone()), Duration::ZERO, JobIds::new());
        let offer = offer(&mut follower, template(&header, 7, 1));
        let mut solo = Solo::new(address(WORKER));
        assert!(solo.work(None, &offer).is_none());
        // It is not kept either.
        assert!(solo.work(Some(&recipe), &offer).is_some());
    }
}
