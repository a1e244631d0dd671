//! The certificate of a listener: read when the settings are checked, and again whenever its files
//! change, so that a renewal needs no restart. A pair that cannot be used never replaces one that
//! can.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as StdHash, Hasher as _},
    io::Read as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bitcoin::hashes::{Hash as _, sha256};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::NoServerSessionStorage,
    version::{TLS12, TLS13},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The longest file that is read. A chain has a few KiB.
const FILE_MAX: u64 = 1024 * 1024;

/// A certificate with its key, as new connections use it.
pub struct Certificate {
    files: Files,
    newest: watch::Sender<Arc<ServerConfig>>,
    print: watch::Sender<Fingerprint>,
    /// What the files held when they were looked at last.
    seen: u64,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The SHA-256 of a certificate, by which a person knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What the files hold.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why files are no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too long to be what it should be.
    #[error("{path} has more than {FILE_MAX} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file of the certificate holds none.
    #[error("{path} holds no certificate in PEM form")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The file of the key holds none.
    #[error("{path} holds no private key in PEM form")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// They are not of use, or not for each other.
    #[error("{certificate} and {key} are no pair that TLS can use: {source}")]
    NotAPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Certificate {
    /// Reads a chain of certificates and a key, both PEM.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
        };
        let contents = files.read()?;
        let (config, print) = files.config(&contents)?;
        Ok(Self {
            files,
            newest: watch::Sender::new(Arc::new(config)),
            print: watch::Sender::new(print),
            seen: contents.print(),
        })
    }

    /// What a new connection is to use.
    pub fn newest(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.newest.subscribe()
    }

    /// By what a person knows it.
    pub fn fingerprint(&self) -> watch::Receiver<Fingerprint> {
        self.print.subscribe()
    }

    /// Looks at the files until `stopping`.
    pub async fn follow(mut self, stopping: CancellationToken) -> anyhow::Result<()> {
        let mut is_readable = true;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let files = self.files.clone();
            match tokio::task::spawn_blocking(move || files.read()).await? {
                Ok(contents) => {
                    is_readable = true;
                    self.renew(&contents);
                }
                // A file may be missing for an instant while it is replaced; told once.
                Err(error) if is_readable => {
                    is_readable = false;
                    warn!(%error, "the certificate in use stays");
                }
                Err(_) => {}
            }
        }
    }

    fn renew(&mut self, contents: &Contents) {
        let print = contents.print();
        if print == self.seen {
            return;
        }
        self.seen = print;
        match self.files.config(contents) {
            Ok((config, print)) => {
                self.newest.send_replace(Arc::new(config));
                self.print.send_replace(print);
                info!(certificate = %self.files.certificate.display(), "new certificate in use");
            }
            // One file may be written before the other: then the next look is at a pair again.
            Err(error) => warn!(%error, "the certificate in use stays"),
        }
    }
}

impl Files {
    fn read(&self) -> Result<Contents, CertificateError> {
        Ok(Contents {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn config(&self, contents: &Contents) -> Result<(ServerConfig, Fingerprint), CertificateError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&contents.certificate)
                .collect::<Result<_, _>>()
                .unwrap_or_default();
        let Some(first) = chain.first() else {
            return Err(CertificateError::NoCertificate {
                path: self.certificate.clone(),
            });
        };
        let print = Fingerprint::of(first);
        let key =
            PrivateKeyDer::from_pem_slice(&contents.key).map_err(|_| CertificateError::NoKey {
                path: self.key.clone(),
            })?;
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|source| CertificateError::NotAPair {
                certificate: self.certificate.clone(),
                key: self.key.clone(),
                source,
            })?;
        // A miner connects once a day: nothing is kept for the next time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((config, print))
    }
}

/// The text is no SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 32 pairs of hexadecimal digits, with colons between or without")]
pub struct NoFingerprint;

impl Fingerprint {
    /// Of a certificate's bytes.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(<sha256::Hash as bitcoin::hashes::Hash>::hash(certificate).to_byte_array())
    }
}

impl Fingerprint {
    /// As XMRig compares it: hexadecimal digits alone.
    pub fn digits(&self) -> String {
        hex::encode(self.0)
    }
}

/// As OpenSSL and as XMRig print it.
impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let mut print = [0; 32];
        let colons = text.matches(':').count();
        let digits = text.replace(':', "");
        let is_well_spaced = text.split(':').all(|pair| pair.len() == 2);
        if colons > 0 && !is_well_spaced {
            return Err(NoFingerprint);
        }
        hex::decode_to_slice(digits, &mut print).map_err(|_| NoFingerprint)?;
        Ok(Self(print))
    }
}

/// Pairs of hexadecimal digits with colons between, as OpenSSL prints it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            let colon = if place == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl Contents {
    /// Tells contents apart. Only the operator can write them, so that nobody makes two alike.
    fn print(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        StdHash::hash(&self.certificate, &mut hasher);
        StdHash::hash(&self.key, &mut hasher);
        hasher.finish()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= FILE_MAX) {
        Ok(bytes)
    } else {
        Err(CertificateError::TooLong { path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair {
        folder: tempfile::TempDir,
    }

    impl Pair {
        fn new() -> Self {
            let pair = Self {
                folder: tempfile::tempdir().unwrap(),
            };
            pair.write();
            pair
        }

        fn certificate(&self) -> PathBuf {
            self.folder.path().join("certificate.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.path().join("key.pem")
        }

        fn write(&self) {
            let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
            std::fs::write(self.certificate(), made.cert.pem()).unwrap();
            std::fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        }

        fn load(&self) -> Result<Certificate, CertificateError> {
            Certificate::load(&self.certificate(), &self.key())
        }
    }

    #[test]
    fn files_that_are_no_pair_are_refused_by_name() {
        let pair = Pair::new();
        assert!(pair.load().is_ok());
        let error = Certificate::load(&pair.certificate(), &pair.folder.path().join("none"));
        assert!(matches!(error, Err(CertificateError::Unreadable { .. })));
        let error = Certificate::load(&pair.key(), &pair.key());
        assert!(matches!(error, Err(CertificateError::NoCertificate { .. })));
        let error = Certificate::load(&pair.certificate(), &pair.certificate());
        assert!(matches!(error, Err(CertificateError::NoKey { .. })));
        let other = Pair::new();
        let error = Certificate::load(&pair.certificate(), &other.key());
        assert!(matches!(error, Err(CertificateError::NotAPair { .. })));
        let long = vec![b'\n'; usize::try_from(FILE_MAX).unwrap() + 1];
        std::fs::write(pair.key(), long).unwrap();
        assert!(matches!(pair.load(), Err(CertificateError::TooLong { .. })));
    }

    #[test]
    fn a_fingerprint_is_read_as_it_is_written_and_without_colons() {
        let print = Fingerprint::of(&CertificateDer::from(&b"any bytes"[..]));
        let text = print.to_string();
        assert_eq!(text.parse(), Ok(print));
        let plain = text.replace(':', "").to_lowercase();
        assert_eq!(plain.parse(), Ok(print));
        for text in [
            "",
            ":",
            &text[3..],
            &plain[1..],
            &plain.replace(&plain[..1], "g"),
            &text[1..],
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NoFingerprint), "{text}");
        }
        let shifted = format!("{}:{}", &plain[..1], &plain[1..]);
        assert_eq!(shifted.parse::<Fingerprint>(), Err(NoFingerprint));
    }

    #[test]
    fn a_changed_pair_is_used_and_a_broken_one_is_not() {
        let pair = Pair::new();
        let mut certificate = pair.load().unwrap();
        let mut newest = certificate.newest();
        let mut look = |certificate: &mut Certificate| {
            let contents = certificate.files.read().unwrap();
            certificate.renew(&contents);
            let changed = newest.has_changed().unwrap();
            newest.mark_unchanged();
            changed
        };
        assert!(!look(&mut certificate), "nothing has changed");
        std::fs::write(pair.key(), "nonsense").unwrap();
        assert!(!look(&mut certificate), "no key");
        pair.write();
        assert!(look(&mut certificate), "a new pair");
        assert!(!look(&mut certificate), "the same again");
    }
}
