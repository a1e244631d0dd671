//! RandomX against the vectors of its reference implementation, against Monero's daemon, and against
//! itself: compiled and interpreted, light and fast, moved between threads and seeds.

use std::sync::{Mutex, OnceLock};

use super::*;

const KEY: &[u8] = b"test key 000";
const TEST: (&[u8], &str) = (
    b"This is a test",
    "639183aae1bf4c9a35884cb46b09cad9175f04efd7684e7262a0ac1c2f0b4e3f",
);
const LOREM: (&[u8], &str) = (
    b"Lorem ipsum dolor sit amet",
    "300a0adb47603dedb42228ccb2b211104f4da45af709cd7547cd049e9489c969",
);
const SED: &[u8] = b"sed do eiusmod tempor incididunt ut labore et dolore magna aliqua";

/// The cache of the first key, shared by all tests: there is one, whatever their number.
fn cache() -> Arc<Cache> {
    static CACHE: OnceLock<Arc<Cache>> = OnceLock::new();
    let make = || Arc::new(Cache::new(Variant::Rx0, KEY, Pages::Usual).unwrap());
    Arc::clone(CACHE.get_or_init(make))
}

/// Runs a test with the cache of another key; one at a time, so that tests stay below a gigabyte.
fn with_cache<T>(key: &[u8], test: impl FnOnce(Arc<Cache>) -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    test(Arc::new(
        Cache::new(Variant::Rx0, key, Pages::Large).unwrap(),
    ))
}

fn light(cache: Arc<Cache>) -> Vm {
    Vm::new(Memory::Light(cache), Pages::Large).unwrap()
}

fn hex_of(hash: Hash) -> String {
    hex::encode(hash.to_bytes())
}

#[test]
fn the_vectors_of_the_first_key_come_out() {
    let mut vm = light(cache());
    for (blob, hash) in [
        TEST,
        LOREM,
        (
            SED,
            "c36d4ed4191e617309867ed66a443be4075014e2b061bcdaf9ce7b721d2b77a8",
        ),
    ] {
        assert_eq!(hex_of(vm.hash(blob)), hash);
    }
    assert_ne!(hex_of(vm.hash(b"This is a tesu")), TEST.1);
    assert_ne!(vm.hash(b""), Hash::default());
}

#[test]
fn the_vectors_of_the_second_key_come_out_and_a_machine_goes_between_keys() {
    let block = hex::decode(
        "0b0b98bea7e805e0010a2126d287a2a0cc833d312cb786385a7c2f9de69d25537f584a9bc9977b00000000666fd8\
         753bf61a8631f12984e3fd44f4014eca629276817b56f32e9b68bd82f416",
    )
    .unwrap();
    with_cache(b"test key 001", |other| {
        let mut vm = light(cache());
        assert_eq!(hex_of(vm.hash(TEST.0)), TEST.1);
        vm.switch(Memory::Light(Arc::clone(&other))).unwrap();
        assert_eq!(vm.memory().key(), b"test key 001");
        assert_eq!(
            hex_of(vm.hash(SED)),
            "e9ff4503201c0c2cca26d285c93ae883f9b1d30c9eb240b820756f2d5a7905fc"
        );
        assert_eq!(
            hex_of(vm.hash(&block)),
            "c56414121acda1713c2f2a819d8ae38aed7c80c35c2a769298d34f03833cd5f1"
        );
        assert_eq!(Arc::strong_count(&other), 2, "the machine keeps it alive");
        vm.switch(Memory::Light(cache())).unwrap();
        assert_eq!(Arc::strong_count(&other), 1, "and lets it go");
        assert_eq!(hex_of(vm.hash(TEST.0)), TEST.1);
    });
}

/// A subtraction that compilers of RandomX programs once got wrong.
#[test]
fn the_vector_of_the_odd_subtraction_comes_out_compiled_and_interpreted() {
    let key =
        hex::decode("7797373ea4633194640bf8d8c3b66724d6aa7bd2dc20e009df2f8f1710abe8").unwrap();
    let blob = hex::decode(
        "1010e1eaf8cf067b37b5f0ee031ab23ed1755e090a3af4415830145853e2be3e1f6821fed84dae58d00e00da5214\
         d6c1f2d0622e0abd51f9373d04e0b0f8e6d6514d90689721c4aac5a9bb0d",
    )
    .unwrap();
    let hash = "78af2a1864c42abce36d2e8983e13df99b2af0ce1362999af09fab004d4435a8";
    with_cache(&key, |cache| {
        assert_eq!(hex_of(light(Arc::clone(&cache)).hash(&blob)), hash);
        let mut compiled = light(cache);
        let interpreted = Cache::with_ability(
            Variant::Rx0,
            &key,
            Pages::Usual,
            Ability::of_this_machine().with_at_most(Jit::Off),
        );
        let interpreted = Arc::new(interpreted.unwrap());
        compiled.switch(Memory::Light(interpreted)).unwrap();
        assert_eq!(hex_of(compiled.hash(&blob)), hash);
    });
}

#[test]
fn pages_that_are_never_written_and_executed_at_a_time_make_the_same_hashes() {
    let secure = Ability::of_this_machine().with_at_most(Jit::Secure);
    let key = b"test key 000";
    let cache = Cache::with_ability(Variant::Rx0, key, Pages::Usual, secure).unwrap();
    let mut vm = light(Arc::new(cache));
    assert_eq!(hex_of(vm.hash(TEST.0)), TEST.1);
    assert_eq!(hex_of(vm.hash(LOREM.0)), LOREM.1);
}

/// The fourth block of a regtest chain: monerod's template, and what its `calc_pow` said of it.
#[test]
fn a_block_of_monero_hashes_as_its_daemon_says() {
    let seed = hex::decode("418015bb9ae982a1975da7d79277c2705727a56894ba0fb246adaabb1f4632e3");
    let seed = Seed(seed.unwrap().try_into().unwrap());
    let blob = hex::decode(
        "1010cde1a5d8067622f05af581db015e78fd4efbda0b72504db857ff0d1dc67e8f34a17798643400000000fd6784\
         b7472fa79f1f8d031ee2ccf1012e1ba38eebc712e2c3cb46482fc077a501",
    )
    .unwrap();
    let hash = with_cache(&seed.0, |cache| light(cache).hash(&blob));
    assert_eq!(
        hex_of(hash),
        "43de9e8ec772e68287ce012a8d6fb6f38b754cdf3d9c491f900d30ad6739ea01"
    );
}

#[test]
fn what_the_library_does_not_compute_is_refused_and_not_computed_as_something_else() {
    for variant in [Variant::Rx2, Variant::Wow] {
        let refused = Cache::new(variant, KEY, Pages::Usual).err();
        assert_eq!(refused, Some(NoCache::NotComputed(variant)));
        let told = refused.unwrap().to_string();
        assert!(told.starts_with(variant.name()), "{told}");
    }
}

#[test]
fn a_commitment_is_that_of_the_reference_and_of_its_blob_and_hash_alone() {
    let hash = Hash(hex::decode(TEST.1).unwrap().try_into().unwrap());
    let ours = commitment(TEST.0, &hash);
    assert_eq!(
        hex_of(ours),
        "d53ccf348b75291b7be76f0a7ac8208bbced734b912f6fca60539ab6f86be919"
    );
    assert_ne!(commitment(LOREM.0, &hash), ours);
    assert_ne!(commitment(TEST.0, &ours), ours);
}

#[test]
fn machines_of_several_threads_share_a_cache_and_one_moves_between_threads() {
    let mut moved = light(cache());
    assert_eq!(hex_of(moved.hash(LOREM.0)), LOREM.1);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut vm = light(cache());
                for _ in 0..5 {
                    assert_eq!(hex_of(vm.hash(TEST.0)), TEST.1);
                    assert_eq!(hex_of(vm.hash(LOREM.0)), LOREM.1);
                }
            });
        }
        scope.spawn(move || assert_eq!(hex_of(moved.hash(TEST.0)), TEST.1));
    });
}

#[test]
fn no_ability_is_made_larger_than_the_machine() {
    let machine = Ability::of_this_machine();
    let off = machine.with_at_most(Jit::Off);
    assert_eq!(off.with_at_most(Jit::On).jit(), Jit::Off);
    assert_eq!(machine.with_at_most(Jit::On), machine);
}

#[test]
fn what_is_short_is_told_in_mebibytes() {
    let told = NoMemory {
        needed: DATASET_BYTES,
    };
    assert_eq!(
        told.to_string(),
        "2080 MiB of memory are needed for RandomX, and are not there"
    );
    assert_eq!(NoCache::NoMemory(told).to_string(), told.to_string());
}

#[test]
fn a_seed_is_written_in_the_order_of_its_bytes() {
    let mut seed = Seed([0; 32]);
    seed.0[0] = 0xab;
    assert_eq!(seed.to_string(), format!("ab{}", "00".repeat(31)));
}

#[test]
fn a_dataset_stops_being_filled_when_it_is_told() {
    let stop = AtomicBool::new(true);
    let threads = NonZeroUsize::new(2).unwrap();
    let stopped = Dataset::new(&cache(), threads, Pages::Usual, &stop).err();
    assert_eq!(stopped, Some(NoDataset::Stopped));
}

#[test]
#[ignore = "takes 2 GiB of memory and a minute of the processor"]
fn a_dataset_that_several_threads_filled_makes_the_hashes_of_its_cache() {
    let threads = NonZeroUsize::new(2).unwrap();
    let dataset = Dataset::new(&cache(), threads, Pages::Large, &AtomicBool::new(false));
    let dataset = Arc::new(dataset.ok().unwrap());
    let mut slow = light(cache());
    let mut fast = Vm::new(Memory::Fast(Arc::clone(&dataset)), Pages::Large).unwrap();
    assert_eq!(hex_of(fast.hash(TEST.0)), TEST.1);
    for nonce in 0..200u32 {
        let blob = nonce.to_le_bytes();
        assert_eq!(fast.hash(&blob), slow.hash(&blob), "{nonce}");
    }
    slow.switch(Memory::Fast(dataset)).unwrap();
    assert_eq!(hex_of(slow.hash(LOREM.0)), LOREM.1);
}
