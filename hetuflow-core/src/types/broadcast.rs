//! A task that runs on many agents at once.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FieldError;
use crate::wire_enum;

/// Most agents that a broadcast can name by number.
pub const BROADCAST_AGENTS_MAX: u32 = 10_000;

wire_enum! {
  /// When a broadcast counts as a success.
  pub enum BroadcastSuccess {
    /// Every task succeeded.
    All = 0 => "all",
    /// At least one did.
    Any = 1 => "any",
    /// More than half did.
    Quorum = 2 => "quorum",
  }
}

impl BroadcastSuccess {
  /// Whether so many of so many are enough.
  pub const fn holds(self, succeeded: usize, total: usize) -> bool {
    match self {
      Self::All => succeeded == total && total > 0,
      Self::Any => succeeded > 0,
      Self::Quorum => succeeded * 2 > total,
    }
  }
}

/// On which agents a task runs at once: `all`, a number, or `{agents, success}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "with-openapi", derive(utoipa::ToSchema))]
pub struct Broadcast {
  /// On so many that fit; on all that fit where no number is given.
  pub agents: Option<u32>,
  /// When it counts as a success.
  pub success: BroadcastSuccess,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Agents {
  Number(u32),
  Word(String),
}

impl Agents {
  fn of(agents: Option<u32>) -> Self {
    agents.map_or_else(|| Self::Word("all".to_owned()), Self::Number)
  }

  fn read<E: serde::de::Error>(self) -> Result<Option<u32>, E> {
    match self {
      Self::Number(number) => Ok(Some(number)),
      Self::Word(word) if word == "all" => Ok(None),
      Self::Word(word) => {
        word.parse().map(Some).map_err(|_| E::custom("broadcast is \"all\" or a number of agents"))
      }
    }
  }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
  agents: Agents,
  #[serde(default = "all")]
  success: BroadcastSuccess,
}

const fn all() -> BroadcastSuccess {
  BroadcastSuccess::All
}

impl Broadcast {
  /// Checks the number.
  pub fn check(&self, field: &str, errors: &mut Vec<FieldError>) {
    if let Some(agents) = self.agents
      && !(1..=BROADCAST_AGENTS_MAX).contains(&agents)
    {
      let message = format!("{agents} agents, 1 to {BROADCAST_AGENTS_MAX} are allowed");
      errors.push(FieldError::new("number.range", field, message));
    }
  }
}

impl std::str::FromStr for Broadcast {
  type Err = String;

  /// `all`, or a number of agents.
  fn from_str(text: &str) -> Result<Self, String> {
    let agents = Agents::Word(text.to_owned()).read::<serde_json::Error>();
    let agents = agents.map_err(|error| error.to_string())?;
    Ok(Self { agents, success: BroadcastSuccess::All })
  }
}

impl Serialize for Broadcast {
  fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
    if self.success == BroadcastSuccess::All {
      return Agents::of(self.agents).serialize(serializer);
    }
    Parts { agents: Agents::of(self.agents), success: self.success }.serialize(serializer)
  }
}

impl<'de> Deserialize<'de> for Broadcast {
  fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
      Short(Agents),
      Parts(Parts),
    }
    let form = Form::deserialize(deserializer);
    let form = form.map_err(|_| D::Error::custom("broadcast is \"all\" or a number of agents"))?;
    let (agents, success) = match form {
      Form::Short(agents) => (agents, BroadcastSuccess::All),
      Form::Parts(parts) => (parts.agents, parts.success),
    };
    Ok(Self { agents: agents.read()?, success })
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn forms_are_read_and_written() {
    for (json, written) in [
      (r#""all""#, r#""all""#),
      ("3", "3"),
      (r#""3""#, "3"),
      (r#"{"agents":"all"}"#, r#""all""#),
      (r#"{"agents":3,"success":"quorum"}"#, r#"{"agents":3,"success":"quorum"}"#),
    ] {
      let read: Broadcast = serde_json::from_str(json).expect(json);
      assert_eq!(serde_json::to_string(&read).expect("plain"), written);
    }
    for wrong in [r#""some""#, "-1", "true", r#"{"agents":1,"rule":"any"}"#] {
      assert!(serde_json::from_str::<Broadcast>(wrong).is_err(), "{wrong}");
    }
    let mut errors = Vec::new();
    Broadcast { agents: Some(0), success: BroadcastSuccess::All }.check("/b", &mut errors);
    assert_eq!(errors.len(), 1);
  }

  #[test]
  fn each_rule_counts() {
    use BroadcastSuccess as B;
    for (rule, succeeded, total, holds) in [
      (B::All, 3, 3, true),
      (B::All, 2, 3, false),
      (B::All, 0, 0, false),
      (B::Any, 1, 3, true),
      (B::Any, 0, 3, false),
      (B::Quorum, 2, 3, true),
      (B::Quorum, 2, 4, false),
    ] {
      assert_eq!(rule.holds(succeeded, total), holds, "{rule} {succeeded}/{total}");
    }
  }
}
