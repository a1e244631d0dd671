//! An output descriptor with its private key: whose scripts the pool's coins are in, and who signs.
//! Called by `payout::key`.
//!
//! Miniscript and rust-bitcoin do all that has to do with keys. What is read here is never shown: no
//! error, no log and no `Debug` has a part of it.

use std::{fmt, io::Read as _, os::unix::fs::PermissionsExt as _, path::Path};

use bitcoin::{
    NetworkKind, Psbt, ScriptBuf, Transaction, TxIn, TxOut, absolute::LockTime,
    secp256k1::Secp256k1, transaction::Version,
};
use mining::{Network, payout::Weight};
use miniscript::{
    DefiniteDescriptorKey, DescriptorPublicKey,
    descriptor::{DescriptorSecretKey, DescriptorType, Wildcard, XKeyNetwork},
    psbt::{PsbtExt as _, PsbtInputExt as _},
};

/// No descriptor of one key is longer than a quarter of it.
const FILE_MAX: u64 = 4096;

/// A descriptor of one key, with the key.
#[derive(Clone)]
pub struct Descriptor {
    public: miniscript::Descriptor<DescriptorPublicKey>,
    private: DescriptorSecretKey,
}

/// Why a file has no descriptor to pay from.
#[derive(Debug, thiserror::Error)]
pub enum BadDescriptor {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Others than its owner may open it.
    #[error("can be opened by others than its owner: `chmod 600` it")]
    Open,
    /// It is no descriptor. What is wrong with it is not said, as that would show some of it.
    #[error("is not one line with an output descriptor that can be read")]
    Garbage,
    /// It is not one of those that are paid from.
    #[error("must be pkh(KEY), wpkh(KEY), sh(wpkh(KEY)) or tr(KEY), with one key")]
    Kind,
    /// There is no private key in it.
    #[error("has no private key: an xprv, a tprv or one in WIF")]
    Public,
    /// One text for several descriptors.
    #[error("stands for several descriptors (<0;1>): write one of them")]
    Multipath,
    /// A daemon could not find the coins without the private key.
    #[error("ends in a hardened step (*h): end it in *")]
    Hardened,
    /// Its key is for the other kind of networks.
    #[error("has a key of another network: the main one has xprv, all others tprv")]
    Network,
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Descriptor(***)")
    }
}

impl Descriptor {
    /// Reads the file of a descriptor. Nobody but its owner may be allowed to open it.
    pub fn read(path: &Path, network: Network) -> Result<Self, BadDescriptor> {
        let file = std::fs::File::open(path)?;
        // Of what was opened, whatever becomes of the path.
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            return Err(BadDescriptor::Open);
        }
        let mut text = String::new();
        file.take(FILE_MAX).read_to_string(&mut text)?;
        Self::parse(text.trim(), network)
    }

    fn parse(text: &str, network: Network) -> Result<Self, BadDescriptor> {
        let parsed = miniscript::Descriptor::parse_descriptor(&Secp256k1::new(), text);
        let (public, keys) = parsed.map_err(|_| BadDescriptor::Garbage)?;
        let is_one_key = match public.desc_type() {
            DescriptorType::Pkh | DescriptorType::Wpkh | DescriptorType::ShWpkh => true,
            DescriptorType::Tr => public.tap_tree().is_none(),
            _ => false,
        };
        if !is_one_key {
            return Err(BadDescriptor::Kind);
        }
        if public.is_multipath() {
            return Err(BadDescriptor::Multipath);
        }
        let (_, private) = keys.into_iter().next().ok_or(BadDescriptor::Public)?;
        let kind = match (&private, public.xkey_network()) {
            (DescriptorSecretKey::Single(single), _) => single.key.network,
            (DescriptorSecretKey::XPrv(key), _) if key.wildcard == Wildcard::Hardened => {
                return Err(BadDescriptor::Hardened);
            }
            (_, XKeyNetwork::Single(kind)) => kind,
            _ => return Err(BadDescriptor::Kind),
        };
        if (kind == NetworkKind::Main) != (network == Network::Main) {
            return Err(BadDescriptor::Network);
        }
        let descriptor = Self { public, private };
        // Said now and not at the first payout.
        descriptor.at(0).ok_or(BadDescriptor::Garbage)?;
        Ok(descriptor)
    }

    /// The descriptor without its private key, as daemons read it.
    pub fn public(&self) -> String {
        self.public.to_string()
    }

    /// Whether it has many scripts, by their number.
    pub fn is_ranged(&self) -> bool {
        self.public.has_wildcard()
    }

    /// The script of this number; the only one, if there is no range. Nothing above 2^31.
    pub fn script(&self, index: u32) -> Option<ScriptBuf> {
        Some(self.at(index)?.script_pubkey())
    }

    fn at(&self, index: u32) -> Option<miniscript::Descriptor<DefiniteDescriptorKey>> {
        self.public.at_derivation_index(index).ok()
    }

    /// What a transaction with these outputs weighs, by its number of inputs, with the largest
    /// signatures that there are.
    pub fn weight(&self, outputs: &[TxOut]) -> Option<Weight> {
        let at = self.at(0)?;
        let signature = at.max_weight_to_satisfy().ok()?.to_wu();
        let bare = unsigned(Vec::new(), outputs.to_vec()).base_size();
        let bare = u64::try_from(bare).ok()?.checked_mul(4)?;
        let input = TxIn::default().legacy_weight().to_wu();
        // With witnesses there are two bytes for all, and one for each input.
        let (marker, count) = match at.desc_type().segwit_version() {
            Some(_) => (2, 1),
            None => (0, 0),
        };
        Some(Weight {
            bare: bare + marker,
            input: input + count + signature,
        })
    }

    /// Signs a transaction that spends these coins, in the order of its inputs, each with the number
    /// of its script. All signatures are verified.
    pub fn sign(
        &self,
        transaction: Transaction,
        coins: &[(u32, TxOut)],
    ) -> Result<Transaction, &'static str> {
        let secp = Secp256k1::new();
        let mut psbt = Psbt::from_unsigned_tx(transaction).map_err(|_| "signed already")?;
        if psbt.inputs.len() != coins.len() {
            return Err("not as many coins as inputs");
        }
        for (input, (index, output)) in psbt.inputs.iter_mut().zip(coins) {
            let at = self.at(*index).ok_or("a script of no number")?;
            if at.script_pubkey() != output.script_pubkey {
                return Err("a coin of somebody else");
            }
            // For old kinds of scripts too: who signs them does not look at amounts, and these are
            // the node's own.
            input.witness_utxo = Some(output.clone());
            input
                .update_with_descriptor_unchecked(&at)
                .map_err(|_| "a script of no key")?;
        }
        psbt.sign(&self.private, &secp).map_err(|_| "not signed")?;
        psbt.finalize_mut(&secp).map_err(|_| "not fully signed")?;
        psbt.extract(&secp).map_err(|_| "not well signed")
    }
}

/// A transaction that nobody has signed. It can be replaced by none with a higher fee: what is kept
/// is what is sent.
pub(super) fn unsigned(input: Vec<TxIn>, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input,
        output,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::OpenOptionsExt as _};

    use bitcoin::{Amount, OutPoint, Txid, bip32::Xpriv, hashes::Hash as _};

    use super::*;

    impl Descriptor {
        /// One of a regtest; `form` has the word KEY where the private key goes.
        pub(in crate::payout) fn of_tests(form: &str) -> Self {
            parse(&form.replace("KEY", &tprv())).unwrap()
        }
    }

    /// A private key for tests that stands nowhere else.
    fn secret(kind: NetworkKind) -> String {
        Xpriv::new_master(kind, b"a seed that only tests have")
            .unwrap()
            .to_string()
    }

    fn tprv() -> String {
        secret(NetworkKind::Test)
    }

    /// A private key alone, in WIF.
    fn wif() -> String {
        let key = Xpriv::new_master(NetworkKind::Test, b"another seed").unwrap();
        key.to_priv().to_wif()
    }

    fn parse(text: &str) -> Result<Descriptor, BadDescriptor> {
        Descriptor::parse(text, Network::Regtest)
    }

    /// The descriptors that can be paid from.
    fn all() -> Vec<String> {
        let (tprv, wif) = (tprv(), wif());
        let keys = [
            format!("{tprv}/84h/1h/0h/0/*"),
            format!("{tprv}/*"),
            format!("{tprv}/1/2"),
            format!("[d34db33f/84h/1h]{tprv}/0/*"),
            wif,
        ];
        let kinds = ["pkh(KEY)", "wpkh(KEY)", "sh(wpkh(KEY))", "tr(KEY)"];
        let all = kinds
            .iter()
            .flat_map(|kind| keys.iter().map(|key| kind.replace("KEY", key)));
        all.collect()
    }

    fn file(text: &str, mode: u32) -> tempfile::TempDir {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let mut options = fs::OpenOptions::new();
        let path = folder.path().join("descriptor");
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
        folder
    }

    #[test]
    fn only_a_file_of_its_owner_alone_is_read() {
        let text = format!("  wpkh({}/*)\n\n", tprv());
        let read = |mode| {
            let folder = file(&text, mode);
            Descriptor::read(&folder.path().join("descriptor"), Network::Regtest)
        };
        for mode in [0o600, 0o400] {
            assert!(read(mode).is_ok(), "{mode:o}");
        }
        // What the umask may take away is not tried.
        for mode in [0o640, 0o604] {
            let folder = file(&text, 0o600);
            let path = folder.path().join("descriptor");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Descriptor::read(&path, Network::Regtest).unwrap_err();
            assert!(
                matches!(refused, BadDescriptor::Open),
                "{mode:o}: {refused}"
            );
        }
        let nowhere = Descriptor::read(Path::new("/nowhere/at/all"), Network::Regtest);
        assert!(matches!(nowhere, Err(BadDescriptor::Unreadable(_))));
        let folder = file(&"x".repeat(1 << 20), 0o600);
        let long = Descriptor::read(&folder.path().join("descriptor"), Network::Regtest);
        assert!(matches!(long, Err(BadDescriptor::Garbage)));
    }

    #[test]
    fn what_cannot_be_paid_from_is_refused() {
        #[track_caller]
        fn case(text: &str, expected: &str) {
            let refused = parse(text).unwrap_err();
            let told = format!("{refused} {refused:?}");
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains(&tprv()[..20]), "{told}");
        }
        let tprv = tprv();
        let public = parse(&format!("wpkh({tprv}/*)")).unwrap().public();
        case(&public, "Public");
        case("", "Garbage");
        case("a shopping list", "Garbage");
        case(&tprv, "Garbage");
        case(&format!("wpkh({tprv}/*)#00000000"), "Garbage");
        case(&format!("wpkh({tprv}/*)\nwpkh({tprv}/1/*)"), "Garbage");
        case(&format!("wpkh({}x/*)", tprv), "Garbage");
        case(&format!("wpkh({tprv}/<0;1>/*)"), "Multipath");
        case(&format!("wpkh({tprv}/*h)"), "Hardened");
        case(&format!("wsh(pk({tprv}/*))"), "Kind");
        case(&format!("wsh(multi(1,{tprv}/0/*,{tprv}/1/*))"), "Kind");
        case(&format!("sh(pk({tprv}/*))"), "Kind");
        case(&format!("pk({tprv}/*)"), "Kind");
        case(&format!("tr({tprv}/0/*,pk({tprv}/1/*))"), "Kind");
        let xprv = secret(NetworkKind::Main);
        case(&format!("wpkh({xprv}/*)"), "Network");
        let main = Descriptor::parse(&format!("wpkh({tprv}/*)"), Network::Main);
        assert!(matches!(main, Err(BadDescriptor::Network)));
        let main = Descriptor::parse(&format!("wpkh({})", wif()), Network::Main);
        assert!(matches!(main, Err(BadDescriptor::Network)));
        assert!(Descriptor::parse(&format!("wpkh({xprv}/*)"), Network::Main).is_ok());
    }

    #[test]
    fn nothing_that_is_shown_has_the_private_key() {
        for text in all() {
            let descriptor = parse(&text).unwrap();
            assert_eq!(format!("{descriptor:?}"), "Descriptor(***)");
            let public = descriptor.public();
            assert!(!public.contains("prv"), "{public}");
            assert!(!public.contains(&wif()), "{public}");
            assert!(public.contains('#'), "{public}");
        }
    }

    #[test]
    fn scripts_are_those_that_others_derive() {
        // BIP 84's and BIP 86's vectors, with the same root.
        let root = "xprv9s21ZrQH143K3GJpoapnV8SFfukcVBSfeCficPSGfubmSFDxo1kuHnLisriDvSnRRuL2Qrg5ggqHKNVpxR86QEC8w35uxmGoggxtQTPvfUu";
        let script = |text: String, index| {
            let descriptor = Descriptor::parse(&text, Network::Main).unwrap();
            descriptor.script(index).unwrap()
        };
        let bitcoin: &mining::Coin = "bitcoin".parse().unwrap();
        let address = |text| {
            let address = mining::Address::parse(bitcoin, Network::Main, text).unwrap();
            ScriptBuf::from_bytes(address.script().unwrap().to_vec())
        };
        assert_eq!(
            script(format!("wpkh({root}/84h/0h/0h/0/*)"), 0),
            address("bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu")
        );
        assert_eq!(
            script(format!("wpkh({root}/84'/0'/0'/0/*)"), 1),
            address("bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g")
        );
        assert_eq!(
            script(format!("tr({root}/86h/0h/0h/0/*)"), 0),
            address("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr")
        );
    }

    /// Of every kind, with as many inputs as there are; what is signed is verified in there.
    #[test]
    fn every_kind_is_signed_and_never_weighs_more_than_was_said() {
        for text in all() {
            let descriptor = parse(&text).unwrap();
            let numbers: u32 = if descriptor.is_ranged() { 3 } else { 1 };
            let output = |index| TxOut {
                value: Amount::from_sat(70_000 + u64::from(index)),
                script_pubkey: descriptor.script(index).unwrap(),
            };
            for count in [1, 2, 300] {
                let coins: Vec<(u32, TxOut)> = (0..count)
                    .map(|place| (place % numbers, output(place % numbers)))
                    .collect();
                let inputs = (0..count).map(|vout| TxIn {
                    previous_output: OutPoint::new(Txid::all_zeros(), vout),
                    ..TxIn::default()
                });
                let outputs = vec![output(0), output(0)];
                let bare = unsigned(inputs.collect(), outputs.clone());
                let signed = descriptor.sign(bare.clone(), &coins).unwrap();
                assert_eq!(signed.compute_ntxid(), bare.compute_ntxid());
                let most = descriptor.weight(&outputs).unwrap();
                let most = most.with(coins.len()).unwrap();
                let weighs = signed.weight().to_wu();
                // A signature may be two bytes shorter, and a byte counts four times outside of a
                // witness.
                let slack = u64::from(count) * if text.starts_with("pkh") { 12 } else { 3 };
                assert!(
                    (most - slack..=most).contains(&weighs),
                    "{count}: {weighs} of {most}"
                );
                // A coin of another number is not signed for.
                if numbers > 1 {
                    let mut wrong = coins;
                    wrong[0].0 += 1;
                    assert!(descriptor.sign(bare, &wrong).is_err());
                }
            }
        }
    }
}
