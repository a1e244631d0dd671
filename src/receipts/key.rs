//! The key that signs receipts: made once, and kept in the data directory where nobody but its owner
//! reads it. Whoever loses it signs with another one, which miners notice.

use std::{
    fs::{File, Permissions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use mining::receipt::SecretKey;

/// The file in the data directory: 64 hexadecimal digits.
const FILE: &str = "receipts.key";
/// It is no longer than this.
const SIZE_MAX: u64 = 128;

/// Reads the key, or makes one.
pub(super) fn read_or_make(data: &Path) -> anyhow::Result<SecretKey> {
    let path = data.join(FILE);
    match File::open(&path) {
        Ok(file) => read(file),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(&path),
        Err(error) => Err(error.into()),
    }
    .with_context(|| format!("{}", path.display()))
}

fn read(file: File) -> anyhow::Result<SecretKey> {
    // Of what was opened, whatever becomes of the path.
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        bail!("it can be opened by others than its owner: `chmod 600` it");
    }
    let mut text = String::new();
    file.take(SIZE_MAX).read_to_string(&mut text)?;
    // What is wrong with it is not said, as that would show some of it.
    let mut bytes = [0; 32];
    let decoded = hex::decode_to_slice(text.trim(), &mut bytes);
    let key = decoded.ok().and_then(|()| SecretKey::from_bytes(&bytes));
    key.context("it is no key: 64 hexadecimal digits")
}

/// Writes a new key, whole or not at all.
fn make(path: &Path) -> anyhow::Result<SecretKey> {
    let key = SecretKey::random();
    let beside = path.with_extension("key.new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside)?;
    // What a process left behind that was killed here may have another mode.
    file.set_permissions(Permissions::from_mode(0o600))?;
    writeln!(file, "{}", hex::encode(key.to_bytes()))?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    tracing::info!(key = %key.public(), path = %path.display(), "a key for receipts was made");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(FILE);
        // A process that was killed left this.
        std::fs::write(data.path().join("receipts.key.new"), "half").unwrap();
        let key = read_or_make(data.path()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(read_or_make(data.path()).unwrap().public(), key.public());
        assert!(!data.path().join("receipts.key.new").exists());

        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = format!("{:#}", read_or_make(data.path()).unwrap_err());
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        for wrong in ["", "00", &"0".repeat(64), &"g".repeat(64), &"11".repeat(33)] {
            std::fs::write(&path, wrong).unwrap();
            let error = format!("{:#}", read_or_make(data.path()).unwrap_err());
            assert!(error.contains("it is no key"), "{wrong}: {error}");
        }
    }
}
