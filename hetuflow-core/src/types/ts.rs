//! Instants: microseconds in UTC, the finest that both databases keep.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An instant, cut to whole microseconds when it is made, so that what was written is what is read.
///
/// JSON: RFC 3339 in UTC. PostgreSQL: `timestamptz`. SQLite: microseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ts(#[serde(deserialize_with = "read_instant")] Timestamp);

fn read_instant<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
  struct Text;
  impl serde::de::Visitor<'_> for Text {
    type Value = Ts;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
      f.write_str("an instant as RFC 3339 text")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ts, E> {
      text.parse().map_err(E::custom)
    }
  }
  deserializer.deserialize_str(Text).map(|instant| instant.0)
}

impl Ts {
  /// The wall clock of this host. Rooms that decide by time take a clock instead.
  pub fn now() -> Self {
    Self::from(Timestamp::now())
  }

  /// From microseconds since 1970; what lies outside years -9999 to 9999 is clamped.
  pub fn from_micros(micros: i64) -> Self {
    let clamped = micros.clamp(Timestamp::MIN.as_microsecond(), Timestamp::MAX.as_microsecond());
    Self(Timestamp::from_microsecond(clamped).unwrap_or(Timestamp::UNIX_EPOCH))
  }

  /// From milliseconds since 1970, clamped.
  pub fn from_millis(millis: i64) -> Self {
    Self::from_micros(millis.saturating_mul(1000))
  }

  /// Microseconds since 1970.
  pub fn micros(self) -> i64 {
    self.0.as_microsecond()
  }

  /// Milliseconds since 1970.
  pub fn millis(self) -> i64 {
    self.0.as_millisecond()
  }

  /// The instant for calendar work.
  pub fn instant(self) -> Timestamp {
    self.0
  }

  /// Later by a duration, clamped at the end of time.
  #[must_use]
  pub fn plus(self, duration: Duration) -> Self {
    Self::from_micros(self.micros().saturating_add(micros_of(duration)))
  }

  /// Earlier by a duration, clamped at the beginning of time.
  #[must_use]
  pub fn minus(self, duration: Duration) -> Self {
    Self::from_micros(self.micros().saturating_sub(micros_of(duration)))
  }

  /// Time from `earlier` to here; zero when `earlier` is later.
  pub fn since(self, earlier: Self) -> Duration {
    let micros = self.micros().saturating_sub(earlier.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
  }
}

fn micros_of(duration: Duration) -> i64 {
  i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl From<Timestamp> for Ts {
  fn from(instant: Timestamp) -> Self {
    Self::from_micros(instant.as_microsecond())
  }
}

impl fmt::Display for Ts {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    self.0.fmt(f)
  }
}

impl fmt::Debug for Ts {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    self.0.fmt(f)
  }
}

/// Why a text is no instant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TsError {
  /// Second 60 exists in no zone that we compute with, and must not become another instant.
  #[error("second 60 is a leap second, and those are not kept; write 59 or the next minute")]
  LeapSecond,
  /// No RFC 3339 with an offset.
  #[error("{0}")]
  Unreadable(#[from] jiff::Error),
}

impl FromStr for Ts {
  type Err = TsError;
  fn from_str(text: &str) -> Result<Self, Self::Err> {
    let instant = text.parse::<Timestamp>()?;
    if names_leap_second(text) { Err(TsError::LeapSecond) } else { Ok(Self::from(instant)) }
  }
}

/// Whether the clock time of a readable instant has a second 60, with colons or without.
fn names_leap_second(text: &str) -> bool {
  let time = text.trim().split_once(['T', 't', ' ']).map_or("", |(_, time)| time);
  let time = time.split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default();
  let digits: String = time.chars().filter(|c| *c != ':').take(6).collect();
  digits.get(4..) == Some("60")
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn leap_seconds_are_refused() {
    for text in [
      "2025-02-03T00:00:60Z",
      "2016-12-31T23:59:60+00:00",
      "2016-12-31 23:59:60.5Z",
      "2016-12-31T235960Z",
      "2017-01-01T05:29:60+05:30[Asia/Kolkata]",
    ] {
      let error = text.parse::<Ts>().expect_err(text).to_string();
      assert!(error.contains("second 60"), "{text}: {error}");
      let json = serde_json::from_value::<Ts>(text.into()).expect_err(text).to_string();
      assert!(json.contains("second 60"), "{text}: {json}");
    }
    for text in ["2025-02-03T00:00:59.999Z", "2025-02-03T01:00+01:00", "2025-02-03T00:00:06Z"] {
      let instant: Ts = text.parse().expect(text);
      assert_eq!(serde_json::from_value::<Ts>(text.into()).expect(text), instant);
    }
    for json in [serde_json::json!(60), serde_json::json!(null), serde_json::json!(["x"])] {
      assert!(serde_json::from_value::<Ts>(json).is_err());
    }
  }
}

#[cfg(feature = "with-openapi")]
mod openapi {
  use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
  use utoipa::openapi::{KnownFormat, RefOr, Schema};

  impl utoipa::PartialSchema for super::Ts {
    fn schema() -> RefOr<Schema> {
      ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .into()
    }
  }
  impl utoipa::ToSchema for super::Ts {}
}

#[cfg(feature = "with-db")]
mod db {
  use sqlx::encode::IsNull;
  use sqlx::error::BoxDynError;
  use sqlx::{Decode, Encode, Postgres, Sqlite, Type};

  use super::Ts;

  /// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL starts to count.
  const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;
  const TIMESTAMPTZ: u32 = 1184;
  const TIMESTAMPTZ_ARRAY: u32 = 1185;

  impl Type<Postgres> for Ts {
    fn type_info() -> sqlx::postgres::PgTypeInfo {
      sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(TIMESTAMPTZ))
    }
  }
  impl sqlx::postgres::PgHasArrayType for Ts {
    fn array_type_info() -> sqlx::postgres::PgTypeInfo {
      sqlx::postgres::PgTypeInfo::with_oid(sqlx::postgres::types::Oid(TIMESTAMPTZ_ARRAY))
    }
  }
  impl Encode<'_, Postgres> for Ts {
    fn encode_by_ref(
      &self,
      buf: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
      Encode::<Postgres>::encode(self.micros().saturating_sub(PG_EPOCH_MICROS), buf)
    }
  }
  impl<'r> Decode<'r, Postgres> for Ts {
    fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, BoxDynError> {
      let micros = <i64 as Decode<Postgres>>::decode(value)?;
      Ok(Ts::from_micros(micros.saturating_add(PG_EPOCH_MICROS)))
    }
  }
  impl Type<Sqlite> for Ts {
    fn type_info() -> sqlx::sqlite::SqliteTypeInfo {
      <i64 as Type<Sqlite>>::type_info()
    }
    fn compatible(ty: &sqlx::sqlite::SqliteTypeInfo) -> bool {
      <i64 as Type<Sqlite>>::compatible(ty)
    }
  }
  impl<'q> Encode<'q, Sqlite> for Ts {
    fn encode_by_ref(
      &self,
      buf: &mut <Sqlite as sqlx::Database>::ArgumentBuffer,
    ) -> Result<IsNull, BoxDynError> {
      <i64 as Encode<'q, Sqlite>>::encode(self.micros(), buf)
    }
  }
  impl<'r> Decode<'r, Sqlite> for Ts {
    fn decode(value: sqlx::sqlite::SqliteValueRef<'r>) -> Result<Self, BoxDynError> {
      Ok(Ts::from_micros(<i64 as Decode<Sqlite>>::decode(value)?))
    }
  }
}
