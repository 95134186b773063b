//! Values of flags: read strictly, refused with what would be accepted.

use std::time::Duration;

use hetuflow_core::{Selector, Ts, parse_duration};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use url::Url;

/// Reads `90s`, `5m`, `1h30m`, `2d`.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_duration(text: &str) -> Result<Duration, String> {
  parse_duration(text).map_err(|error| error.to_string())
}

/// Reads a server's address: http or https with a host, and no password in it.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_server(text: &str) -> Result<Url, String> {
  let example = "as http://127.0.0.1:8080";
  let url =
    Url::parse(text).map_err(|error| format!("invalid --server: {error}; write it {example}"))?;
  if !matches!(url.scheme(), "http" | "https") {
    return Err(format!("invalid --server: the scheme is http or https, {example}"));
  }
  if url.host_str().is_none_or(str::is_empty) {
    return Err(format!("invalid --server: no host in it; write it {example}"));
  }
  if !url.username().is_empty() || url.password().is_some() {
    return Err(
      "invalid --server: no user or password in the address; use hetuflowctl login".into(),
    );
  }
  Ok(url)
}

/// Reads an instant: RFC 3339, `2025-11-21 14:00`, `14:00`, `today`, `@unix`, `+10m`, `-10m`.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_instant(text: &str) -> Result<Ts, String> {
  let now = Ts::now();
  let text = text.trim();
  if let Ok(instant) = text.parse::<Ts>() {
    return Ok(instant);
  }
  if text == "now" {
    return Ok(now);
  }
  if let Some(rest) = text.strip_prefix('@') {
    let secs: i64 = rest.parse().map_err(|_| bad_instant(text))?;
    return Ok(Ts::from_millis(secs.saturating_mul(1000)));
  }
  if let Some(rest) = text.strip_prefix('+') {
    return read_duration(rest).map(|duration| now.plus(duration));
  }
  if let Some(rest) = text.strip_prefix('-') {
    return read_duration(rest).map(|duration| now.minus(duration));
  }
  let zone = TimeZone::system();
  let today = now.instant().to_zoned(zone.clone()).date();
  let civil = if text == "today" {
    today.to_datetime(Time::midnight())
  } else if let Ok(time) = text.parse::<Time>() {
    today.to_datetime(time)
  } else if let Ok(at) = text.parse::<DateTime>() {
    at
  } else {
    text.parse::<Date>().map_err(|_| bad_instant(text))?.to_datetime(Time::midnight())
  };
  zone.to_timestamp(civil).map(Ts::from).map_err(|error| error.to_string())
}

/// Reads an instant that has passed: `10m` is ten minutes ago, everything else as [`read_instant`].
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_past(text: &str) -> Result<Ts, String> {
  match parse_duration(text.trim()) {
    Ok(duration) => Ok(Ts::now().minus(duration)),
    Err(_) => read_instant(text),
  }
}

/// Reads a number of bytes: `500`, `64K`, `10M`, `1GiB`; the units are powers of 1,024.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_bytes(text: &str) -> Result<u64, String> {
  let wrong = || "a number of bytes, as 500, 64K or 10M".to_owned();
  let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
  let (number, unit) = text.split_at(digits);
  let unit = unit.to_ascii_lowercase();
  let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
    "" => 0,
    "k" => 10,
    "m" => 20,
    "g" => 30,
    _ => return Err(wrong()),
  };
  let number: u64 = number.parse().map_err(|_| wrong())?;
  number.checked_mul(1 << shift).ok_or_else(wrong)
}

fn bad_instant(text: &str) -> String {
  let text: String = text.chars().take(40).flat_map(char::escape_default).collect();
  format!(
    "\"{text}\" is not an instant; write 2025-11-21T14:00:00Z, \"2025-11-21 14:00\", 14:00, today, @1763733600 or -10m"
  )
}

/// Reads `KEY=VALUE`.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_pair(text: &str) -> Result<(String, String), String> {
  match text.split_once('=') {
    Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
    _ => Err("write KEY=VALUE".to_owned()),
  }
}

/// Conditions on an agent's labels.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_selector(text: &str) -> Result<Selector, String> {
  Selector::parse(text).map_err(|error| format!("{error}; {}", error.hint))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn b077_servers() {
    for bad in ["foo", "ftp://x", "http://", "http://h:70000", "http://u:p@h"] {
      let error = read_server(bad).expect_err(bad);
      assert!(error.contains("invalid --server"), "{bad}: {error}");
    }
    assert!(read_server("http://[::1]:8080/base").is_ok());
  }

  #[test]
  fn sizes() {
    for (text, wanted) in [("500", 500), ("64K", 64 << 10), ("10M", 10 << 20), ("1GiB", 1 << 30)] {
      assert_eq!(read_bytes(text), Ok(wanted), "{text}");
    }
    for bad in ["", "x", "10T", "-1", "99999999999999999999G"] {
      assert!(read_bytes(bad).is_err(), "{bad}");
    }
  }

  #[test]
  fn instants() {
    for good in [
      "2025-11-21T14:00:00Z",
      "2025-11-21 14:00",
      "2025-11-21",
      "14:00",
      "today",
      "@0",
      "-10m",
      "+1h",
      "now",
    ] {
      assert!(read_instant(good).is_ok(), "{good}");
    }
    for bad in ["", "5x", "tomorrowish", "@x", "-5", "2025-13-01"] {
      assert!(read_instant(bad).is_err(), "{bad}");
    }
  }
}
