//! What a kind of device can bear: how large a coinbase it can hash, and with which difficulty it
//! does well. Firmware keeps coinbases in buffers of its own size, and an ASIC that gets a larger
//! one hashes garbage or restarts.
//!
//! The classes and budgets are those that OCEAN's DATUM gateway found out; a device is known by the
//! name it gives at `mining.subscribe`. The table of devices is `devices.toml`, which
//! `src/devices.rs` of the program reads into [`Profiles`].

use std::collections::{BTreeMap, BTreeSet};

use pow::{Algorithm, ProofOfWork};

use crate::{
    Difficulty,
    coinbase::{EXTRANONCE2_SIZE_MAX, EXTRANONCE2_SIZE_MIN},
    vardiff,
};

/// A class of coinbase sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
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
}

/// What is known of a kind of device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What people call it; for pages and logs.
    pub name: String,
    /// How the names begin that it gives at `mining.subscribe`, in upper or lower case.
    pub agents: Vec<String>,
    /// How large a coinbase it can hash.
    pub class: CoinbaseClass,
    /// The difficulty to begin with, on SHA-256d.
    pub start: Option<Difficulty>,
    /// The easiest difficulty, on SHA-256d.
    pub min: Option<Difficulty>,
    /// The difficulty to begin with, on RandomX.
    pub randomx_start: Option<Difficulty>,
    /// The easiest difficulty, on RandomX.
    pub randomx_min: Option<Difficulty>,
    /// Whether vardiff makes it harder only: rented hashrate counts easy shares as a fault.
    pub harder_only: bool,
    /// The longest user name, in bytes, that the device sends whole. A longer one is worth a
    /// warning.
    pub user_max: Option<usize>,
    /// The most bytes of extranonce2 the device can count with.
    pub extranonce2_max: Option<usize>,
    /// Whether it reads targets of 4 bytes alone, of Monero's dialect; XMRig and all that is known to mine
    /// RandomX read 8.
    pub short_target: bool,
}

impl Profile {
    /// A profile of this class that says nothing more.
    pub fn new(name: &str, class: CoinbaseClass) -> Self {
        Self {
            name: name.to_owned(),
            agents: Vec::new(),
            class,
            start: None,
            min: None,
            randomx_start: None,
            randomx_min: None,
            harder_only: false,
            user_max: None,
            extranonce2_max: None,
            short_target: false,
        }
    }

    /// What a listener's limits and its first difficulty become for this device: never easier and
    /// never harder than the listener allows. On other algorithms than SHA-256d and RandomX they stay as
    /// they are, since a difficulty means something else there.
    pub fn within(
        &self,
        limits: vardiff::Limits,
        start: Difficulty,
        algorithm: impl Into<ProofOfWork>,
    ) -> (vardiff::Limits, Difficulty) {
        let (own_start, own_min) = match algorithm.into() {
            ProofOfWork::Header(Algorithm::Sha256d) => (self.start, self.min),
            ProofOfWork::RandomX => (self.randomx_start, self.randomx_min),
            _ => return (limits, start),
        };
        let min = own_min.map_or(limits.min, |min| min.clamp(limits.min, limits.max));
        let start = own_start.unwrap_or(start).clamp(min, limits.max);
        let harder_only = limits.harder_only || self.harder_only;
        let limits = vardiff::Limits {
            min,
            harder_only,
            ..limits
        };
        (limits, start)
    }
}

/// The most profiles: every firmware there is, many times over.
pub const PROFILES_MAX: usize = 1024;
/// The most names of one device.
const AGENTS_MAX: usize = 64;
/// The longest name, of a device and of the start of an agent: more does not tell devices apart.
const NAME_LEN_MAX: usize = 64;
/// The longest user name a device can be said to send: no pool reads longer ones.
const USER_MAX: usize = 1024;

/// Profiles by the names of devices. Where several beginnings match, the longest one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiles {
    list: Vec<Profile>,
    /// The beginnings of names in lower case, sorted, with their place in the list.
    starts: Vec<(Vec<u8>, usize)>,
    /// The lengths that occur in `starts`, the longest first.
    lengths: Vec<usize>,
    unknown: Profile,
}

/// Which profile is wrong, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {number} ({name:?}), {field}: {fault}")]
pub struct BadProfile {
    /// Its place in the list, from 1.
    pub number: usize,
    /// Its name, cut where it is too long.
    pub name: String,
    /// The field.
    pub field: &'static str,
    /// What is wrong.
    pub fault: String,
}

/// Why a list is no list of profiles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProfiles {
    /// There are too many of them.
    #[error("{0} devices, but at most {PROFILES_MAX} are read")]
    TooMany(usize),
    /// One of them is wrong.
    #[error(transparent)]
    Profile(#[from] BadProfile),
}

impl Profiles {
    /// Checks the profiles and makes them quick to find.
    pub fn new(list: Vec<Profile>) -> Result<Self, BadProfiles> {
        if list.len() > PROFILES_MAX {
            return Err(BadProfiles::TooMany(list.len()));
        }
        let mut starts = BTreeMap::new();
        for (place, profile) in list.iter().enumerate() {
            let bad = |(field, fault)| BadProfile {
                number: place + 1,
                name: profile.name.chars().take(NAME_LEN_MAX).collect(),
                field,
                fault,
            };
            check(profile).map_err(bad)?;
            for agent in &profile.agents {
                let start = agent.to_ascii_lowercase().into_bytes();
                if let Some(earlier) = starts.insert(start, place) {
                    let fault = format!("{agent:?} is said of device {} too", earlier + 1);
                    return Err(bad(("agents", fault)).into());
                }
            }
        }
        let lengths: BTreeSet<usize> = starts.keys().map(Vec::len).collect();
        Ok(Self {
            list,
            starts: starts.into_iter().collect(),
            lengths: lengths.into_iter().rev().collect(),
            unknown: Profile::new("unknown", CoinbaseClass::Stock),
        })
    }

    /// The profile of the device that calls itself `agent`, if it is known.
    pub fn of(&self, agent: &str) -> Option<&Profile> {
        let mut name = agent.trim_start().as_bytes().to_vec();
        name.truncate(NAME_LEN_MAX);
        name.make_ascii_lowercase();
        self.lengths.iter().find_map(|length| {
            let start = name.get(..*length)?;
            let found = self
                .starts
                .binary_search_by(|(known, _)| known.as_slice().cmp(start));
            let (_, place) = self.starts[found.ok()?];
            Some(&self.list[place])
        })
    }

    /// The profile of the device that calls itself `agent`, or that of devices nothing is known of:
    /// class [`Stock`](CoinbaseClass::Stock), and no wishes.
    pub fn of_any(&self, agent: &str) -> &Profile {
        self.of(agent).unwrap_or(&self.unknown)
    }

    /// All of them, in the order they were given.
    pub fn list(&self) -> &[Profile] {
        &self.list
    }
}

/// What is wrong with a profile for itself: the field, and why.
fn check(profile: &Profile) -> Result<(), (&'static str, String)> {
    let is_name = |text: &str| {
        (1..=NAME_LEN_MAX).contains(&text.len())
            && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && !text.starts_with(' ')
    };
    let named = || format!("1 to {NAME_LEN_MAX} printable ASCII characters, the first no space");
    if !is_name(&profile.name) {
        return Err(("name", named()));
    }
    if !(1..=AGENTS_MAX).contains(&profile.agents.len()) {
        return Err(("agents", format!("1 to {AGENTS_MAX} of them")));
    }
    if let Some(agent) = profile.agents.iter().find(|agent| !is_name(agent)) {
        let shown: String = agent.chars().take(NAME_LEN_MAX).collect();
        return Err(("agents", format!("{shown:?}: {}", named())));
    }
    for (field, start, min_field, min) in [
        ("start", profile.start, "min", profile.min),
        (
            "randomx_start",
            profile.randomx_start,
            "randomx_min",
            profile.randomx_min,
        ),
    ] {
        if let (Some(start), Some(min)) = (start, min)
            && start < min
        {
            return Err((field, format!("{start} is easier than {min_field}, {min}")));
        }
    }
    if let Some(max) = profile.user_max
        && !(1..=USER_MAX).contains(&max)
    {
        return Err(("user_max", format!("{max}, must be 1 to {USER_MAX}")));
    }
    if let Some(max) = profile.extranonce2_max
        && !(EXTRANONCE2_SIZE_MIN..=EXTRANONCE2_SIZE_MAX).contains(&max)
    {
        let range = format!("{EXTRANONCE2_SIZE_MIN} to {EXTRANONCE2_SIZE_MAX}");
        return Err(("extranonce2_max", format!("{max}, must be {range}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str, agents: &[&str]) -> Profile {
        Profile {
            agents: agents.iter().map(|&agent| agent.to_owned()).collect(),
            ..Profile::new(name, CoinbaseClass::Large)
        }
    }

    #[test]
    fn the_longest_beginning_counts_wherever_it_stands() {
        let profiles = Profiles::new(vec![
            profile("any", &["bitaxe", "x"]),
            profile("old", &["BitAxe/BM1397"]),
            profile("older", &["bitaxe/bm"]),
        ])
        .unwrap();
        let name = |agent: &str| profiles.of_any(agent).name.as_str();
        assert_eq!(name("bitaxe"), "any");
        assert_eq!(name("bitaxe/B"), "any");
        assert_eq!(name("bitaxe/BM1370/v2.9"), "older");
        assert_eq!(name(" BITAXE/bm1397/v2"), "old");
        assert_eq!(name("X"), "any");
        for unknown in ["", "bitax", "a bitaxe", "ä", "bitäxe"] {
            assert_eq!(profiles.of(unknown), None, "{unknown}");
            assert_eq!(name(unknown), "unknown");
        }
        assert_eq!(profiles.of_any("").class, CoinbaseClass::Stock);
    }

    #[test]
    fn a_wrong_profile_is_told_by_its_entry_and_its_field() {
        #[track_caller]
        fn case(change: impl FnOnce(&mut Profile), told: &str) {
            let mut wrong = profile("wrong", &["w"]);
            change(&mut wrong);
            let error = Profiles::new(vec![profile("right", &["r"]), wrong]).unwrap_err();
            let error = error.to_string();
            assert!(
                error.starts_with("device 2 (") && error.contains(told),
                "{error}"
            );
        }
        let difficulty = |text: &str| Some(text.parse().unwrap());
        case(|p| p.name.clear(), "name: 1 to 64");
        case(|p| p.name = "x".repeat(65), "name: 1 to 64");
        case(|p| p.name = "a\nb".into(), "name: 1 to 64");
        case(|p| p.agents.clear(), "agents: 1 to 64");
        case(|p| p.agents = vec!["a".into(); 65], "agents: 1 to 64");
        case(|p| p.agents[0].clear(), "agents: \"\": 1 to 64");
        case(|p| p.agents[0] = " w".into(), "agents: \" w\"");
        case(|p| p.agents[0] = "ä".into(), "agents: \"ä\"");
        case(|p| p.agents[0] = "w".repeat(65), "agents: ");
        case(
            |p| p.agents[0] = "R".into(),
            "agents: \"R\" is said of device 1 too",
        );
        case(
            |p| p.agents.push("W".into()),
            "agents: \"W\" is said of device 2 too",
        );
        case(
            |p| (p.start, p.min) = (difficulty("1"), difficulty("2")),
            "start: 1 is easier than min, 2",
        );
        case(
            |p| (p.randomx_start, p.randomx_min) = (difficulty("1"), difficulty("2")),
            "randomx_start: 1 is easier than randomx_min, 2",
        );
        for max in [0, 1025] {
            case(|p| p.user_max = Some(max), "user_max: ");
        }
        for max in [0, 1, 9] {
            case(|p| p.extranonce2_max = Some(max), "extranonce2_max: ");
        }
        let many = (0..=PROFILES_MAX).map(|n| profile("x", &[&format!("x{n}")]));
        let many: Vec<_> = many.collect();
        assert!(Profiles::new(many[1..].to_vec()).is_ok());
        assert_eq!(
            Profiles::new(many),
            Err(BadProfiles::TooMany(PROFILES_MAX + 1))
        );
    }

    #[test]
    fn a_profile_moves_within_the_limits_of_the_listener() {
        let difficulty = |text: &str| text.parse::<Difficulty>().unwrap();
        let read_one = |text: &str| Some(difficulty(text));
        let limits = vardiff::Limits {
            min: difficulty("1"),
            max: difficulty("1000"),
            share_time_ms: 15_000,
            harder_only: false,
        };
        #[track_caller]
        fn case(limits: vardiff::Limits, asks: (&str, &str), gets: (&str, &str)) {
            let read = |text: &str| text.parse().ok();
            let mut profile = profile("x", &["x"]);
            (profile.min, profile.start) = (read(asks.0), read(asks.1));
            let start = read("10").unwrap();
            let (within, first) = profile.within(limits, start, Algorithm::Sha256d);
            assert_eq!(
                (Some(within.min), Some(first)),
                (read(gets.0), read(gets.1))
            );
            assert_eq!(within.max, limits.max);
            assert_eq!(
                profile.within(limits, start, Algorithm::Scrypt),
                (limits, start)
            );
        }
        let mut rental = profile("x", &["x"]);
        rental.harder_only = true;
        (rental.start, rental.min) = (read_one("700"), read_one("600"));
        assert_eq!(
            rental
                .within(limits, difficulty("10"), ProofOfWork::RandomX)
                .1,
            difficulty("10")
        );
        (rental.randomx_start, rental.randomx_min) = (read_one("50"), read_one("40"));
        let (within, first) = rental.within(limits, difficulty("10"), ProofOfWork::RandomX);
        assert_eq!((within.min, first), (difficulty("40"), difficulty("50")));
        assert!(within.harder_only);
        let (_, first) = rental.within(limits, difficulty("10"), Algorithm::Sha256d);
        assert_eq!(first, difficulty("700"));
        case(limits, ("", ""), ("1", "10"));
        case(limits, ("5", ""), ("5", "10"));
        case(limits, ("50", ""), ("50", "50"));
        case(limits, ("0.5", "0.5"), ("1", "1"));
        case(limits, ("524288", "1000000"), ("1000", "1000"));
        case(limits, ("", "200"), ("1", "200"));
    }

    #[test]
    fn classes_stand_in_the_order_of_their_budgets() {
        assert!(CoinbaseClass::ALL.is_sorted_by_key(|class| class.budget()));
        for (index, class) in CoinbaseClass::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
        }
    }
}
