//! The key for which secrets are sealed at rest, in a file that only the server's user reads.
//!
//! The database never sees it: whoever has a copy of the database and not of this file has nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hetuflow_core::{NamespaceId, SecretValue};
use sha2::{Digest, Sha256};

/// The first byte of all that is sealed in this way.
const FORM: u8 = 1;
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 32;
/// Longer than any key in base64.
const FILE_BYTES_MAX: u64 = 256;

/// Why there is no key, or something does not open.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
  /// The file cannot be read or made.
  #[error("the key file {path} cannot be used")]
  File {
    /// Which.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
  },
  /// Others may read it.
  #[error("others may read the key file {path} (mode {mode:o}); chmod 600 {path}")]
  Open {
    /// Which.
    path: PathBuf,
    /// How.
    mode: u32,
  },
  /// There is no key in it.
  #[error("{path} holds no key: 32 bytes in base64 are needed")]
  NoKey {
    /// Which.
    path: PathBuf,
  },
  /// It was sealed for another key, or is not what was sealed.
  #[error("it does not open with this key")]
  Closed,
}

/// What a value is sealed for: moved to another place, it does not open.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
  /// Its namespace.
  pub namespace: &'a NamespaceId,
  /// Its name.
  pub name: &'a str,
  /// Counts its values.
  pub version: i64,
}

impl Place<'_> {
  /// No part can be taken for another: namespaces and names hold no line end.
  fn bytes(&self) -> Vec<u8> {
    format!("hetuflow secret\n{}\n{}\n{}", self.namespace, self.name, self.version).into_bytes()
  }
}

/// The key of this server.
pub struct SecretKey {
  bytes: [u8; KEY_BYTES],
  id: String,
}

impl std::fmt::Debug for SecretKey {
  fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    write!(f, "SecretKey({})", self.id)
  }
}

struct OneKey;

impl KeyType for OneKey {
  fn len(&self) -> usize {
    KEY_BYTES
  }
}

impl SecretKey {
  fn new(bytes: [u8; KEY_BYTES]) -> Self {
    let hash = Sha256::new().chain_update(b"hetuflow key id\n").chain_update(bytes).finalize();
    let id = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Self { bytes, id }
  }

  /// Reads the key of a file; `None` where there is no file.
  ///
  /// # Errors
  /// When it is no key, or others may read it.
  pub fn read(path: &Path) -> Result<Option<Self>, SealError> {
    let failed = |source| SealError::File { path: path.to_owned(), source };
    let file = match File::open(path) {
      Ok(file) => file,
      Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
      Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
      return Err(SealError::Open { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
    let bytes = bytes.ok_or_else(|| SealError::NoKey { path: path.to_owned() })?;
    Ok(Some(Self::new(bytes)))
  }

  /// Makes a key in a file that does not exist yet.
  ///
  /// # Errors
  /// When it cannot be written.
  pub fn make(path: &Path) -> Result<Self, SealError> {
    let failed = |source| SealError::File { path: path.to_owned(), source };
    let mut bytes = [0_u8; KEY_BYTES];
    rand::fill(&mut bytes);
    let beside = path.with_extension(format!("new.{}", std::process::id()));
    let _none_there = std::fs::remove_file(&beside);
    let mut options = OpenOptions::new();
    let mut file =
      options.write(true).create_new(true).mode(0o600).open(&beside).map_err(failed)?;
    writeln!(file, "{}", STANDARD.encode(bytes)).and_then(|()| file.sync_all()).map_err(failed)?;
    // A link does not take the place of a key that somebody else has made meanwhile.
    let linked = std::fs::hard_link(&beside, path);
    let _removed = std::fs::remove_file(&beside);
    match linked {
      Ok(()) => Ok(Self::new(bytes)),
      Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
        Self::read(path)?.ok_or_else(|| SealError::NoKey { path: path.to_owned() })
      }
      Err(error) => Err(failed(error)),
    }
  }

  /// Names the key, and tells nothing of it.
  pub fn id(&self) -> &str {
    &self.id
  }

  /// A key of its own for each record, so that no nonce can ever be used twice with one.
  fn record_key(&self, salt: &[u8], info: &[u8]) -> Option<LessSafeKey> {
    let root = Salt::new(HKDF_SHA256, salt).extract(&self.bytes);
    let mut key = [0_u8; KEY_BYTES];
    root.expand(&[info], OneKey).ok()?.fill(&mut key).ok()?;
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?))
  }

  /// Seals a value for its place.
  ///
  /// # Errors
  /// When the cipher refuses, which it has no reason to.
  pub fn seal(&self, place: &Place<'_>, value: &SecretValue) -> Result<Vec<u8>, SealError> {
    let info = place.bytes();
    let (mut salt, mut nonce) = ([0_u8; SALT_BYTES], [0_u8; NONCE_LEN]);
    rand::fill(&mut salt);
    rand::fill(&mut nonce);
    let key = self.record_key(&salt, &info).ok_or(SealError::Closed)?;
    let mut inside = value.expose().to_vec();
    key
      .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&info), &mut inside)
      .map_err(|_| SealError::Closed)?;
    let mut sealed = vec![FORM];
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&nonce);
    sealed.append(&mut inside);
    Ok(sealed)
  }

  /// Opens what was sealed for its place.
  ///
  /// # Errors
  /// [`SealError::Closed`].
  pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<SecretValue, SealError> {
    let opened = || {
      let (form, rest) = sealed.split_first()?;
      let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
      let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>()?;
      let info = place.bytes();
      let key = self.record_key(salt, &info).filter(|_| *form == FORM)?;
      let mut inside = rest.to_vec();
      let nonce = Nonce::assume_unique_for_key(*nonce);
      let value = key.open_in_place(nonce, Aad::from(&info), &mut inside).ok()?;
      Some(SecretValue::new(value.to_vec()))
    };
    opened().ok_or(SealError::Closed)
  }
}

#[cfg(test)]
mod tests {
  use std::os::unix::fs::PermissionsExt;

  use super::*;

  #[test]
  fn what_is_sealed_opens_only_in_its_place_and_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let key = SecretKey::make(&dir.path().join("a.key")).expect("made");
    let namespace = NamespaceId::default();
    let place = Place { namespace: &namespace, name: "db", version: 2 };
    let value = SecretValue::new(b"canary".to_vec());
    let sealed = key.seal(&place, &value).expect("sealed");
    assert!(!sealed.windows(6).any(|part| part == b"canary"));
    assert_ne!(sealed, key.seal(&place, &value).expect("sealed"), "never the same bytes");
    assert_eq!(key.open(&place, &sealed).expect("opened"), value);
    let others = [
      Place { name: "dc", ..place },
      Place { version: 1, ..place },
      Place { namespace: &NamespaceId::new("etl").expect("valid"), ..place },
    ];
    assert!(others.iter().all(|other| key.open(other, &sealed).is_err()));
    for index in 0..sealed.len() {
      let mut bent = sealed.clone();
      bent[index] ^= 1;
      assert!(key.open(&place, &bent).is_err(), "byte {index}");
      assert!(key.open(&place, &sealed[..index]).is_err(), "cut at {index}");
    }
    let other = SecretKey::make(&dir.path().join("b.key")).expect("made");
    assert!(other.open(&place, &sealed).is_err() && other.id() != key.id());
  }

  #[test]
  fn the_key_stays_what_it_was_and_nobody_else_reads_it() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("secret.key");
    assert!(SecretKey::read(&path).expect("none").is_none());
    let made = SecretKey::make(&path).expect("made");
    assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    assert_eq!(SecretKey::read(&path).expect("read").expect("there").id(), made.id());
    assert_eq!(SecretKey::make(&path).expect("the old one").id(), made.id());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
    assert!(matches!(SecretKey::read(&path), Err(SealError::Open { mode: 0o640, .. })));
    std::fs::write(&path, "nothing").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
    assert!(matches!(SecretKey::read(&path), Err(SealError::NoKey { .. })));
  }
}
