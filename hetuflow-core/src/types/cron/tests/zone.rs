//! RELIABILITY §10.1, rows B018 and B019.

use jiff::tz::TimeZoneDatabase;

use super::super::parse_time_zone;

#[test]
fn every_bundled_name_is_accepted_as_written() {
  for name in TimeZoneDatabase::bundled().available() {
    let accepted = parse_time_zone(name.as_str()).is_ok();
    assert_eq!(accepted, name.as_str() != "Factory", "{name}");
  }
  assert_eq!(parse_time_zone("UTC").unwrap(), jiff::tz::TimeZone::UTC);
}

#[test]
fn b018_and_b019_unknown_names_offer_help() {
  for (name, words) in [
    ("Mars/Phobos", "the nearest names are "),
    ("", "Europe/Berlin"),
    ("EST5EDT4", "EST5EDT"),
    ("UTC+8", "Etc/GMT-8"),
    ("GMT-05:00", "Etc/GMT+5"),
    ("../../etc/passwd", "the nearest names are "),
    ("Europe/Berlin\0", "Europe/Berlin"),
    ("Europe/Berlim", "Europe/Berlin"),
    ("Shanghai", "Asia/Shanghai"),
    ("Asia/Beijing", "Asia/Shanghai"),
    ("CST", "America/Chicago, Asia/Shanghai"),
    ("europe/berlin", "case-sensitive: write Europe/Berlin"),
    ("utc", "write UTC"),
    ("Factory", "the nearest names are "),
    ("Etc/Unknown", "the nearest names are "),
    ("+", "the nearest names are "),
    ("上海", "Asia/Shanghai"),
  ] {
    let error = parse_time_zone(name).unwrap_err();
    assert_eq!(error.code, "tz.unknown", "{name:?}");
    let hint = error.hint.clone().unwrap_or_default();
    assert!(hint.contains(words), "{name:?}: {hint}");
    assert!(!error.message.contains(char::is_control), "{name:?}: {error}");
  }
}

#[test]
fn a_very_long_name_is_refused_quickly_and_briefly() {
  let error = parse_time_zone(&"Europe/".repeat(100_000)).unwrap_err();
  assert!(error.message.len() < 200, "{error}");
}
