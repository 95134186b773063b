//! Tokens that were looked up a moment ago: most requests cost no query.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hetuflow_core::TokenId;

use super::Actor;

/// How long a looked-up token is trusted; a revocation elsewhere takes at most this long to be
/// felt here.
const TRUST: Duration = Duration::from_secs(5);
/// Most tokens kept; beyond, the stale ones go, and then all.
const TOKENS_MAX: usize = 4096;

/// The hash of a secret.
pub(super) type SecretHash = [u8; 32];

struct Known {
  actor: Actor,
  until: Instant,
}

/// The tokens in use. Cheap to clone; clones share.
#[derive(Clone, Default)]
pub(super) struct TokenCache {
  known: Arc<Mutex<HashMap<SecretHash, Known>>>,
  used: Arc<Mutex<HashSet<TokenId>>>,
}

impl TokenCache {
  /// Who it is, where that was looked up a moment ago.
  pub(super) fn get(&self, hash: &SecretHash) -> Option<Actor> {
    let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(hash).filter(|known| Instant::now() < known.until).map(|known| known.actor.clone())
  }

  /// Keeps an answer, at most for the token's own life.
  pub(super) fn put(&self, hash: SecretHash, actor: &Actor, life: Option<Duration>) {
    let now = Instant::now();
    let until = now + life.map_or(TRUST, |life| life.min(TRUST));
    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= TOKENS_MAX {
      known.retain(|_, known| now < known.until);
    }
    if known.len() >= TOKENS_MAX {
      known.clear();
    }
    known.insert(hash, Known { actor: actor.clone(), until });
    drop(known);
    // A token in use comes by here again and again, whenever the trust in it has run out.
    let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
    if used.len() < TOKENS_MAX {
      used.extend(actor.token_id);
    }
  }

  /// Takes the tokens that were used since the last call.
  pub(super) fn take_used(&self) -> HashSet<TokenId> {
    std::mem::take(&mut *self.used.lock().unwrap_or_else(PoisonError::into_inner))
  }

  /// Forgets all: a token was revoked or bound.
  pub(super) fn clear(&self) {
    self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
  }
}
