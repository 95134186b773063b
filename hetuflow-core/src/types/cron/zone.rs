//! Time zone names: only the database compiled into the program decides, never the host.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{
  error::{CronError, shorten},
  zone_hint::hint_for,
};

/// Longer names are not looked up; the longest real one has 32 bytes.
const NAME_BYTES_MAX: usize = 64;

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
