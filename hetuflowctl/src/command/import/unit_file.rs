//! Unit files of systemd: sections, keys that may stand several times, continued lines, and the
//! quoting of command lines.

/// A unit file.
#[derive(Debug, Clone, Default)]
pub struct UnitFile {
  entries: Vec<(String, String, String)>,
}

impl UnitFile {
  /// Reads a file; what is no assignment is passed over, as systemd does.
  pub fn read(text: &str) -> Self {
    let mut unit = Self::default();
    let mut section = String::new();
    let mut whole = String::new();
    for line in text.lines() {
      let line = line.trim();
      if whole.is_empty() && (line.is_empty() || line.starts_with(['#', ';'])) {
        continue;
      }
      if let Some(begin) = line.strip_suffix('\\') {
        whole.push_str(begin);
        whole.push(' ');
        continue;
      }
      whole.push_str(line);
      let line = std::mem::take(&mut whole);
      if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        name.clone_into(&mut section);
      } else if let Some((key, value)) = line.split_once('=') {
        unit.set(&section, key.trim(), value.trim());
      }
    }
    unit
  }

  /// An empty value takes all earlier ones of its key back.
  fn set(&mut self, section: &str, key: &str, value: &str) {
    if value.is_empty() {
      self.entries.retain(|(s, k, _)| s != section || k != key);
    } else {
      self.entries.push((section.to_owned(), key.to_owned(), value.to_owned()));
    }
  }

  /// All values of a key.
  pub fn all<'u>(&'u self, section: &'u str, key: &'u str) -> impl Iterator<Item = &'u str> {
    let of = move |entry: &&'u (String, String, String)| entry.0 == section && entry.1 == key;
    self.entries.iter().filter(of).map(|(_, _, value)| value.as_str())
  }

  /// The last value of a key.
  pub fn last<'u>(&'u self, section: &'u str, key: &'u str) -> Option<&'u str> {
    self.all(section, key).last()
  }
}

/// A yes as systemd writes it.
pub fn is_yes(text: &str) -> bool {
  ["1", "yes", "true", "on"].contains(&text.to_ascii_lowercase().as_str())
}

/// The words of a command line; quotes keep blanks, a backslash takes the next character.
pub fn words(text: &str) -> Vec<String> {
  let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
  let mut chars = text.chars();
  while let Some(c) = chars.next() {
    match (c, quote) {
      ('\\', _) => word.get_or_insert_default().extend(chars.next().map(escaped)),
      (c, Some(open)) if c == open => quote = None,
      (c, Some(_)) => word.get_or_insert_default().push(c),
      ('"' | '\'', None) => {
        quote = Some(c);
        word.get_or_insert_default();
      }
      (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
      (c, None) => word.get_or_insert_default().push(c),
    }
  }
  words.extend(word);
  words
}

fn escaped(c: char) -> char {
  match c {
    'n' => '\n',
    't' => '\t',
    's' => ' ',
    other => other,
  }
}

/// `5min`, `1h 30s`, `90`: as seconds.
pub fn span_secs(text: &str) -> Option<f64> {
  let mut rest = text.trim();
  let mut total = 0.0;
  while !rest.is_empty() {
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number: f64 = rest[..digits].parse().ok()?;
    rest = rest[digits..].trim_start();
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    total += number
      * match &rest[..letters] {
        "" | "s" | "sec" | "second" | "seconds" => 1.0,
        "ms" | "msec" => 0.001,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
      };
    rest = rest[letters..].trim_start();
  }
  Some(total)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn files() {
    let unit = UnitFile::read(
      "# c\n[Timer]\nOnCalendar=daily\nOnCalendar=\nOnCalendar=Mon \\\n  10:00\n[Service]\nX = 1\n",
    );
    assert_eq!(unit.all("Timer", "OnCalendar").collect::<Vec<_>>(), ["Mon  10:00"]);
    assert_eq!(unit.last("Service", "X"), Some("1"));
  }

  #[test]
  fn command_lines_and_spans() {
    assert_eq!(
      words(r#"/bin/sh -c "a \"b\" c" '' d\ e"#),
      ["/bin/sh", "-c", "a \"b\" c", "", "d e"]
    );
    assert_eq!(span_secs("1h 30min 5"), Some(5405.0));
    assert_eq!(span_secs("infinity"), None);
  }
}
