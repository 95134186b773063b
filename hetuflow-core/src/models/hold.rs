//! Holds: of one schedule, of a namespace, of the whole cluster.

use serde::{Deserialize, Serialize};

use crate::types::{FieldError, MisfirePolicy, NamespaceId, Ts};

/// Longest reason that somebody gives, in bytes.
const REASON_BYTES_MAX: usize = 1000;
/// Most instants that can be left out ahead.
pub const SKIP_NEXT_MAX: i64 = 10_000;
/// The scope of a freeze of everything.
pub const CLUSTER_SCOPE: &str = "*";

/// Why something is held, and how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct PauseRequest {
  /// Why, for people.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
  /// It goes on by itself at this instant.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub until: Option<Ts>,
}

impl PauseRequest {
  /// Checks every rule and names each that is broken; `now` is the server's.
  pub fn check(&self, now: Ts, errors: &mut Vec<FieldError>) {
    check_reason(self.reason.as_deref(), errors);
    if self.until.is_some_and(|until| until <= now) {
      let message = "until is not in the future";
      errors.push(FieldError::new("pause.until", "/until", message));
    }
  }
}

/// How something goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct ResumeRequest {
  /// What becomes of the instants that were held: of one schedule `skip` where not said, of a freeze
  /// what each schedule says of missed ones.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub missed: Option<MisfirePolicy>,
}

/// How many of the next instants are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct SkipNextRequest {
  /// How many; one where not said, none takes the wish back.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub count: Option<i64>,
  /// Why, for people.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub reason: Option<String>,
}

impl SkipNextRequest {
  /// Checks every rule and names each that is broken.
  pub fn check(&self, errors: &mut Vec<FieldError>) {
    check_reason(self.reason.as_deref(), errors);
    if self.count.is_some_and(|count| !(0..=SKIP_NEXT_MAX).contains(&count)) {
      let message = format!("count is 0 to {SKIP_NEXT_MAX}");
      errors.push(FieldError::new("number.range", "/count", message));
    }
  }
}

pub(super) fn check_reason(reason: Option<&str>, errors: &mut Vec<FieldError>) {
  let Some(reason) = reason else { return };
  if reason.len() > REASON_BYTES_MAX {
    let message = format!("{} bytes, at most {REASON_BYTES_MAX} are allowed", reason.len());
    errors.push(FieldError::new("text.too_long", "/reason", message));
  }
  if reason.contains('\0') {
    let message = "a NUL byte cannot be stored in text";
    errors.push(FieldError::new("text.nul", "/reason", message));
  }
}

/// A freeze: no schedule of its scope fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "with-db", derive(sqlx::FromRow))]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct FreezeEntity {
  /// A namespace, or `*` for the whole cluster.
  pub scope: String,
  /// Who.
  pub paused_by: String,
  /// Why.
  pub reason: Option<String>,
  /// Since when.
  pub since: Ts,
  /// It ends by itself at this instant.
  pub until: Option<Ts>,
  /// It has ended.
  pub ended_at: Option<Ts>,
  /// Who ended it; nobody where its time was over.
  pub ended_by: Option<String>,
  /// What becomes of the instants that it held; what each schedule says where nothing is said.
  pub missed: Option<MisfirePolicy>,
}

impl FreezeEntity {
  /// Whether it holds back something of a namespace at an instant.
  pub fn holds(&self, namespace: &NamespaceId, now: Ts) -> bool {
    self.covers(namespace) && self.is_active(now)
  }

  /// Whether it is for this namespace.
  pub fn covers(&self, namespace: &NamespaceId) -> bool {
    self.scope == CLUSTER_SCOPE || self.scope == namespace.as_str()
  }

  /// Whether it lasts still.
  pub fn is_active(&self, now: Ts) -> bool {
    self.ended_at.is_none() && self.until.is_none_or(|until| until > now)
  }

  /// When it ended, or will by itself.
  pub fn end(&self) -> Option<Ts> {
    self.ended_at.or(self.until)
  }

  /// Who froze what, and why.
  pub fn told(&self) -> String {
    let what = match self.scope.as_str() {
      CLUSTER_SCOPE => "the cluster".to_owned(),
      namespace => format!("namespace {namespace}"),
    };
    let told = format!("{what} was paused by {}", self.paused_by);
    match &self.reason {
      Some(reason) => format!("{told}: {reason}"),
      None => told,
    }
  }
}
