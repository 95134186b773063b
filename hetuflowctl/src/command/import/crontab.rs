//! Crontabs of Debian cron (crontab(5)): variables, five fields or a nickname, a user in system
//! files, `%` for standard input.

use std::collections::BTreeMap;

use hetuflow_core::{ExecuteCommand, MisfirePolicy, OverlapPolicy, TaskConfig};
use jiff::tz::TimeZone;

use super::cron_rule::{Dialect, ours, read};
use super::found::{Found, FoundJob, FoundTime, Manners, name_of};

/// cron starts what is due whatever still runs, and makes up for nothing.
const MANNERS: Manners = Manners { overlap: OverlapPolicy::AllowAll, misfire: MisfirePolicy::Skip };

/// A file and how to read it.
#[derive(Debug)]
pub struct Tab<'a> {
  /// Its name.
  pub name: &'a str,
  /// The sixth field is a user.
  pub system: bool,
  /// The zone that cron runs in.
  pub zone: (&'a str, &'a TimeZone),
}

/// Reads one crontab.
pub fn import(text: &str, tab: &Tab<'_>, found: &mut Found) {
  let mut variables: BTreeMap<String, String> = BTreeMap::new();
  for (index, line) in text.lines().enumerate() {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with('#') {
      continue;
    }
    let place = format!("{}:{}", tab.name, index + 1);
    if let Some((name, value)) = variable(line) {
      variables.insert(name, value);
      continue;
    }
    match entry(line, tab.system) {
      Some(entry) => take(&entry, (place, &variables), tab, found),
      None => found.leave(place, "not a line of a crontab"),
    }
  }
}

/// One line that runs something.
struct Entry<'a> {
  when: &'a str,
  user: Option<&'a str>,
  command: &'a str,
}

fn entry(line: &str, system: bool) -> Option<Entry<'_>> {
  let fields = if line.starts_with('@') { 1 } else { 5 };
  let (when, mut rest) = split_words(line, fields)?;
  let mut user = None;
  if system {
    let (name, command) = split_words(rest, 1)?;
    (user, rest) = (Some(name), command);
  }
  (!rest.is_empty()).then_some(Entry { when, user, command: rest.trim_end_matches('\r') })
}

/// The first words as they stand, and the rest.
fn split_words(text: &str, count: usize) -> Option<(&str, &str)> {
  let blank = |c: char| c == ' ' || c == '\t';
  let mut at = 0;
  for word in 0..count {
    let rest = &text[at..];
    at += rest.find(|c| !blank(c)).filter(|skip| word == 0 || *skip > 0)?;
    at += text[at..].find(blank)?;
  }
  Some((text[..at].trim_start_matches(blank), text[at..].trim_start_matches(blank)))
}

/// `NAME = "value"`.
fn variable(line: &str) -> Option<(String, String)> {
  let (name, value) = line.split_once('=')?;
  let name = unquoted(name.trim_matches([' ', '\t']));
  let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
  plain.then(|| (name.to_owned(), unquoted(value.trim_matches([' ', '\t', '\r'])).to_owned()))
}

fn unquoted(text: &str) -> &str {
  for quote in ['"', '\''] {
    if let Some(inside) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
      return inside;
    }
  }
  text
}

fn take(
  entry: &Entry<'_>,
  (place, variables): (String, &BTreeMap<String, String>),
  tab: &Tab<'_>,
  found: &mut Found,
) {
  if entry.when == "@reboot" {
    return found.leave(place, "@reboot: nothing here starts with a machine");
  }
  let Some(pattern) = read(entry.when, Dialect::Debian) else {
    return found.leave(place, format!("cron itself refuses \"{}\"", entry.when));
  };
  let (command, stdin) = at_percent(entry.command);
  let shell = variables.get("SHELL").map_or("/bin/sh", String::as_str);
  let home = variables.get("HOME").filter(|home| home.starts_with('/'));
  let config = TaskConfig {
    cmd: Some(ExecuteCommand::Exec),
    args: vec![shell.to_owned(), "-c".to_owned(), command.clone()],
    stdin,
    working_directory: home.cloned(),
    ..TaskConfig::default()
  };
  let mut job = FoundJob::new(place, &name_of(&title(&command)), config);
  job.job.description = format!("{} {}", entry.when, entry.command);
  let own = ["SHELL", "MAILTO", "MAILFROM", "HOME", "LOGNAME", "CRON_TZ"];
  job.job.environment = variables
    .iter()
    .filter(|(name, _)| !own.contains(&name.as_str()))
    .map(|(name, value)| (name.clone(), value.clone()))
    .collect();
  if let Some(user) = entry.user {
    job.note(format!("ran as {user}; here it runs as the user of the agent"));
  }
  if home.is_none() {
    job.note("ran in the home folder of its user; here in a folder of the run");
  }
  if variables.get("MAILTO").is_some_and(|to| !to.is_empty()) {
    job.note("its output went by mail; here it is kept as the log of the task");
  }
  if variables.contains_key("CRON_TZ") {
    job.note("CRON_TZ means nothing to Debian cron and was left out");
  }
  let (zone_name, zone) = tab.zone;
  let time =
    FoundTime { theirs: entry.when.to_owned(), zone: zone.clone(), pattern: Some(pattern) };
  job.add((ours(entry.when, Dialect::Debian), zone_name), MANNERS, time);
  found.jobs.push(job);
}

/// The command up to the first `%`, and the rest as standard input, where each `%` is a line end.
fn at_percent(text: &str) -> (String, Option<String>) {
  let mut parts = vec![String::new()];
  let mut chars = text.chars().peekable();
  while let Some(c) = chars.next() {
    let last = parts.len() - 1;
    match c {
      '\\' if chars.peek() == Some(&'%') => {
        chars.next();
        parts[last].push('%');
      }
      '%' => parts.push(String::new()),
      c => parts[last].push(c),
    }
  }
  let mut parts = parts.into_iter();
  let command = parts.next().unwrap_or_default();
  let rest: Vec<String> = parts.collect();
  (command, (!rest.is_empty()).then(|| format!("{}\n", rest.join("\n"))))
}

/// What people would call the command.
fn title(command: &str) -> String {
  const SKIPPED: [&str; 12] = [
    "sudo", "env", "nice", "ionice", "exec", "command", "nohup", "time", "test", "[", "cd", "true",
  ];
  const RUNNERS: [&str; 12] = [
    "sh",
    "bash",
    "dash",
    "zsh",
    "python",
    "python3",
    "perl",
    "php",
    "ruby",
    "node",
    "run-parts",
    "java",
  ];
  for part in command.split(['&', '|', ';', '(', ')', '{', '}']) {
    let mut words = part.split_ascii_whitespace().skip_while(|word| {
      word.contains('=') || SKIPPED[..8].contains(&base(word)) || word.starts_with('-')
    });
    let Some(program) = words.next() else { continue };
    if SKIPPED.contains(&base(program)) {
      continue;
    }
    let script = words.find(|word| !word.starts_with('-') && !word.starts_with(['>', '"', '\'']));
    return match script {
      Some(script) if RUNNERS.contains(&base(program)) => stem(script).to_owned(),
      _ => stem(program).to_owned(),
    };
  }
  "cron".to_owned()
}

fn base(path: &str) -> &str {
  path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path)
}

fn stem(path: &str) -> &str {
  let base = base(path);
  ["sh", "py", "pl", "php", "rb", "js"]
    .iter()
    .find_map(|ext| base.strip_suffix(ext)?.strip_suffix('.'))
    .filter(|stem| !stem.is_empty())
    .unwrap_or(base)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn words_of_a_line() {
    let system = entry("17 *\t* * *  root  cd / && x %in", true).expect("a line");
    assert_eq!(
      (system.when, system.user, system.command),
      ("17 *\t* * *", Some("root"), "cd / && x %in")
    );
    let own = entry("@daily run --a=b", false).expect("a line");
    assert_eq!((own.when, own.command), ("@daily", "run --a=b"));
    assert!(entry("0 0 * * *", false).is_none());
    assert_eq!(variable("PATH=/bin:/usr/bin"), Some(("PATH".into(), "/bin:/usr/bin".into())));
    assert_eq!(variable("A = ' b '"), Some(("A".into(), " b ".into())));
    assert_eq!(variable("0 0 * * * X=1 run"), None);
  }

  #[test]
  fn percents_and_titles() {
    assert_eq!(at_percent(r"date +\%F"), ("date +%F".into(), None));
    assert_eq!(at_percent("mail%a%b"), ("mail".into(), Some("a\nb\n".into())));
    for (command, name) in [
      ("/usr/local/bin/backup.sh --all", "backup"),
      ("cd / && run-parts --report /etc/cron.hourly", "cron.hourly"),
      ("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", "cron.daily"),
      ("A=1 nice python3 /opt/load.py", "load"),
      ("", "cron"),
    ] {
      assert_eq!(title(command), name, "{command}");
    }
  }
}
