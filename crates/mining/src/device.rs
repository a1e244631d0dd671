//! How large a coinbase a device can hash. Firmware keeps coinbases in buffers of its own size, and
//! an ASIC that gets a larger one hashes garbage or restarts.
//!
//! The classes and budgets are those that OCEAN's DATUM gateway found out; a device is known by the
//! name it gives at `mining.subscribe`.

/// A class of coinbase sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CoinbaseClass {
    /// Rented hashrate (NiceHash, MiningRigRentals): 500 bytes.
    Rental,
    /// ESP32 toys, whose JSON buffer is 4 KiB in all: 700 bytes.
    Toy,
    /// Stock Antminer and everything unknown: 730 bytes.
    Stock,
    /// Antminer S21, Braiins OS, LuxOS: 2,250 bytes.
    Medium,
    /// Whatsminer, Bitaxe and its relatives, CPU miners: 6,500 bytes.
    Large,
    /// ePIC and Vnish: 16,000 bytes.
    Huge,
}

impl CoinbaseClass {
    /// All of them, smallest first.
    pub const ALL: [Self; 6] = [
        Self::Rental,
        Self::Toy,
        Self::Stock,
        Self::Medium,
        Self::Large,
        Self::Huge,
    ];

    /// The most bytes a coinbase transaction of this class has, without its witness.
    pub fn budget(self) -> usize {
        match self {
            Self::Rental => 500,
            Self::Toy => 700,
            Self::Stock => 730,
            Self::Medium => 2_250,
            Self::Large => 6_500,
            Self::Huge => 16_000,
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        Self::ALL
            .iter()
            .position(|class| *class == self)
            .expect("ALL holds every class")
    }

    /// The class of the device that calls itself `agent`.
    pub fn of_agent(agent: &str) -> Self {
        const NAMES: [(&str, CoinbaseClass); 24] = [
            ("nicehash", CoinbaseClass::Rental),
            ("miningrigrentals", CoinbaseClass::Rental),
            ("nerdminer", CoinbaseClass::Toy),
            ("han_solominer", CoinbaseClass::Toy),
            ("leafminer", CoinbaseClass::Toy),
            ("nmminer", CoinbaseClass::Toy),
            ("sparkminer", CoinbaseClass::Toy),
            ("antminer s21", CoinbaseClass::Medium),
            ("bosminer", CoinbaseClass::Medium),
            ("luxminer", CoinbaseClass::Medium),
            ("xminer-1.", CoinbaseClass::Huge),
            ("powerplay-bm", CoinbaseClass::Huge),
            ("whatsminer", CoinbaseClass::Large),
            ("bitaxe", CoinbaseClass::Large),
            ("nerdnos", CoinbaseClass::Large),
            ("nerdaxe", CoinbaseClass::Large),
            ("nerdqaxe", CoinbaseClass::Large),
            ("nerdoctaxe", CoinbaseClass::Large),
            ("nerdeko", CoinbaseClass::Large),
            ("0xaxe", CoinbaseClass::Large),
            ("piaxe", CoinbaseClass::Large),
            ("qaxe", CoinbaseClass::Large),
            ("cpuminer", CoinbaseClass::Large),
            ("adit", CoinbaseClass::Large),
        ];
        let agent = agent.trim_start();
        NAMES
            .iter()
            .find(|(name, _)| {
                agent
                    .get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            })
            .map_or(Self::Stock, |(_, class)| *class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_the_start_of_their_name() {
        #[track_caller]
        fn case(agent: &str, expected: CoinbaseClass) {
            assert_eq!(CoinbaseClass::of_agent(agent), expected);
        }
        case("NiceHash/1.0.0", CoinbaseClass::Rental);
        case("NerdMinerV2/1.8.3", CoinbaseClass::Toy);
        case("cgminer/4.11.1", CoinbaseClass::Stock);
        case("Antminer S19j Pro/1.0", CoinbaseClass::Stock);
        case("Antminer S21/Fri", CoinbaseClass::Medium);
        case("bitaxe/BM1370/v2.9", CoinbaseClass::Large);
        case("xminer-1.2.6", CoinbaseClass::Huge);
        case("", CoinbaseClass::Stock);
        case("ä", CoinbaseClass::Stock);
    }

    #[test]
    fn classes_stand_in_the_order_of_their_budgets() {
        assert!(CoinbaseClass::ALL.is_sorted_by_key(|class| class.budget()));
        for (index, class) in CoinbaseClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
        }
    }
}
