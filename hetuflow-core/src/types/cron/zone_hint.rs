//! What was probably meant by a time zone that does not exist.

use jiff::tz::TimeZoneDatabase;

/// Distances are computed for names up to this length only: the input is a stranger's.
const CHARS_MAX: usize = 40;

/// Abbreviations that several countries share, and cities without a zone of their own.
const MEANINGS: [(&str, &str); 20] = [
  ("CST", "America/Chicago, Asia/Shanghai or America/Havana"),
  ("CDT", "America/Chicago or America/Havana"),
  ("EDT", "America/New_York"),
  ("MDT", "America/Denver"),
  ("PST", "America/Los_Angeles or Asia/Manila"),
  ("PDT", "America/Los_Angeles"),
  ("AST", "America/Halifax or Asia/Riyadh"),
  ("IST", "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem"),
  ("BST", "Europe/London or Asia/Dhaka"),
  ("CEST", "Europe/Berlin or Europe/Paris"),
  ("EEST", "Europe/Athens or Europe/Kyiv"),
  ("WEST", "Europe/Lisbon"),
  ("MSK", "Europe/Moscow"),
  ("JST", "Asia/Tokyo"),
  ("KST", "Asia/Seoul"),
  ("HKT", "Asia/Hong_Kong"),
  ("SGT", "Asia/Singapore"),
  ("AEST", "Australia/Sydney or Australia/Brisbane"),
  ("AEDT", "Australia/Sydney"),
  ("SST", "Pacific/Pago_Pago or Asia/Singapore"),
];
const CITIES: [(&str, &str); 4] = [
  ("beijing", "Asia/Shanghai"),
  ("shenzhen", "Asia/Shanghai"),
  ("mumbai", "Asia/Kolkata"),
  ("munich", "Europe/Berlin"),
];

/// The most helpful thing to say about this name.
pub(super) fn hint_for(name: &str) -> String {
  let database = TimeZoneDatabase::bundled();
  let known: Vec<_> = database.available().collect();
  let known = || known.iter().map(|zone| zone.as_str()).filter(|zone| *zone != "Factory");
  let lower = name.to_ascii_lowercase();
  if let Some(zone) = known().find(|zone| zone.eq_ignore_ascii_case(name)) {
    return format!("names are case-sensitive: write {zone}");
  }
  if let Some((_, zones)) = MEANINGS.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)) {
    return format!("abbreviations are ambiguous: write {zones}");
  }
  if let Some(hint) = fixed_offset(&lower) {
    return hint;
  }
  let city = lower.rsplit('/').next().unwrap_or_default();
  if let Some((_, zone)) = CITIES.iter().find(|(name, _)| *name == city) {
    return format!("write {zone}");
  }
  if name.is_empty() || !name.is_ascii() || name.len() > CHARS_MAX {
    return "a name is written like Europe/Berlin, Asia/Shanghai or UTC".to_owned();
  }
  let wanted: Vec<char> = lower.chars().collect();
  let mut ranked: Vec<_> = known().map(|zone| (score(&wanted, zone), zone)).collect();
  ranked.sort();
  let nearest: Vec<_> = ranked.iter().take(3).map(|(_, zone)| *zone).collect();
  format!("the nearest names are {}", nearest.join(", "))
}

/// `UTC+8`, `GMT-05:00`, `+08:00`: offsets do not know daylight saving time.
fn fixed_offset(lower: &str) -> Option<String> {
  let rest = ["utc", "gmt", ""].iter().find_map(|prefix| lower.strip_prefix(prefix))?;
  let sign = rest.chars().next().filter(|c| "+-".contains(*c))?;
  let hours: u8 = rest[1..].split(':').next()?.parse().ok().filter(|h| (1..=12).contains(h))?;
  let flipped = if sign == '+' { '-' } else { '+' };
  Some(format!(
    "write a place such as Asia/Shanghai, or Etc/GMT{flipped}{hours} \
     (always {sign}{hours} h; its sign is reversed)"
  ))
}

/// Smaller is nearer: the whole name, or only its last part when the region is missing.
fn score(wanted: &[char], zone: &str) -> usize {
  let lower: Vec<char> = zone.to_ascii_lowercase().chars().collect();
  let city = lower.rsplit(|c| *c == '/').next().unwrap_or(&lower);
  distance(wanted, &lower).min(distance(wanted, city) + usize::from(city.len() < lower.len()))
}

/// Levenshtein distance.
fn distance(a: &[char], b: &[char]) -> usize {
  let mut row: Vec<usize> = (0..=b.len()).collect();
  for (i, x) in a.iter().enumerate() {
    let mut diagonal = row[0];
    row[0] = i + 1;
    for (j, y) in b.iter().enumerate() {
      let replace = diagonal + usize::from(x != y);
      diagonal = row[j + 1];
      row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
    }
  }
  row[b.len()]
}
