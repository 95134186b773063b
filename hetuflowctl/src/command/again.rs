//! The command that was typed, put right: the last line of help where an error has none that can be
//! pasted.

use crate::cli::walk;
use crate::output::Fault;

/// Adds a command to paste, where one can be made of what was typed.
pub fn pasteable(error: &mut Fault) {
  let has_one = |help: &String| help.contains("hetuflowctl ") || help.contains("--");
  let asks = error.help.iter().any(|help| help == "give --yes");
  if error.help.iter().any(has_one) && !asks {
    return;
  }
  let Some(words) = typed() else { return };
  let command = if asks {
    Some(command_of(words.iter().map(String::as_str).chain(["--yes"])))
  } else if error.message.contains("its version is ") {
    reading(&words)
  } else {
    nearest(error).and_then(|(wrong, right)| replaced(&words, &wrong, &right))
  };
  error.help.extend(command);
}

/// The command that was typed, with another name in it.
pub fn again_with(wrong: &str, right: &str) -> Option<String> {
  replaced(&typed()?, wrong, right)
}

/// The words that were typed; `None` where one of them may be a secret, which no log should repeat.
fn typed() -> Option<Vec<String>> {
  let words: Option<Vec<String>> =
    std::env::args_os().skip(1).map(|word| word.into_string().ok()).collect();
  words.filter(|words| !words.iter().any(|word| may_hold_secret(word)))
}

/// Parameters, variables, bodies and addresses with a password.
fn may_hold_secret(word: &str) -> bool {
  let flags = ["-p", "--param", "--env", "-d", "--data", "--var"];
  flags.iter().any(|flag| word.starts_with(flag)) || word.contains("//") && word.contains('@')
}

fn replaced(words: &[String], wrong: &str, right: &str) -> Option<String> {
  let known = words.iter().any(|word| word.contains(wrong));
  let words: Vec<String> = words.iter().map(|word| word.replace(wrong, right)).collect();
  (known && !wrong.is_empty()).then(|| command_of(words.iter().map(String::as_str)))
}

/// `job disable NAME` is read again by `job get NAME`.
fn reading(words: &[String]) -> Option<String> {
  let (path, _) = walk(words);
  let [noun, verb] = path.as_slice() else { return None };
  let after = words.iter().position(|word| word == verb)? + 1;
  let name = words.get(after).filter(|word| !word.starts_with('-'))?;
  Some(command_of([noun.as_str(), "get", name, "-o", "yaml"].into_iter()))
}

/// What stands in quotes in the message, and what the help would have in its place.
fn nearest(error: &Fault) -> Option<(String, String)> {
  let wrong = error.message.split('"').nth(1)?.to_owned();
  let right = error.help.iter().find_map(|help| {
    let quoted = help.strip_prefix("did you mean \"").and_then(|rest| rest.split('"').next());
    let listed =
      help.strip_prefix("the nearest names are ").and_then(|rest| rest.split(", ").next());
    quoted.or(listed)
  })?;
  Some((wrong, right.to_owned()))
}

fn command_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
  words.fold("hetuflowctl".to_owned(), |line, word| format!("{line} {}", shell_word(word)))
}

/// As a shell reads it back as one word.
fn shell_word(word: &str) -> String {
  let plain = |c: char| {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | '=' | ':' | ',' | '+')
  };
  if !word.is_empty() && word.chars().all(plain) {
    return word.to_owned();
  }
  format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
  use super::*;

  fn words(text: &str) -> Vec<String> {
    text.split('|').map(str::to_owned).collect()
  }

  #[test]
  fn words_for_a_shell() {
    for (word, quoted) in [
      ("etl-daily@latest", "etl-daily@latest"),
      ("0 0 * * *", "'0 0 * * *'"),
      ("it's", r"'it'\''s'"),
      ("", "''"),
      ("$HOME", "'$HOME'"),
    ] {
      assert_eq!(shell_word(word), quoted);
    }
  }

  #[test]
  fn secrets_are_not_repeated() {
    for word in ["-p", "-ppassword=x", "--param=a=b", "--env", "http://user:pw@host"] {
      assert!(may_hold_secret(word), "{word}");
    }
    assert!(!may_hold_secret("etl-daily@latest"));
  }

  #[test]
  fn what_was_meant() {
    let error = Fault {
      message: "unknown time zone \"Europe/Berln\"".into(),
      help: vec!["the nearest names are Europe/Berlin, Europe/Dublin".into()],
      ..Fault::default()
    };
    let (wrong, right) = nearest(&error).expect("both");
    let told = replaced(&words("schedule|next|0 0 * * *|--tz|Europe/Berln"), &wrong, &right);
    assert_eq!(told.as_deref(), Some("hetuflowctl schedule next '0 0 * * *' --tz Europe/Berlin"));
    assert_eq!(replaced(&words("job|list"), &wrong, &right), None, "not what was typed");
  }

  #[test]
  fn what_moved_is_read_again() {
    let told = reading(&words("job|disable|etl daily|--if-version|9"));
    assert_eq!(told.as_deref(), Some("hetuflowctl job get 'etl daily' -o yaml"));
    assert_eq!(reading(&words("status")), None);
  }
}
