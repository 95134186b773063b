//! Rules for the names by which a config asks for rights: users and secrets.

use crate::types::FieldError;

/// Longest name of a user.
const USER_BYTES_MAX: usize = 64;
/// Longest name of a secret.
pub const SECRET_NAME_MAX: usize = 64;
/// Most secrets of one job.
pub const SECRETS_MAX: usize = 64;

/// Checks the name of a user of some host.
pub fn check_user(name: &str, field: &str, errors: &mut Vec<FieldError>) {
  let fine = |c: char| c.is_ascii_alphanumeric() || "._-$@".contains(c);
  let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
  let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
  if name.len() <= USER_BYTES_MAX && starts && !is_number && name.chars().all(fine) {
    return;
  }
  let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
  let message = format!("\"{shown}\" is not the name of a user");
  errors.push(
    FieldError::new("user.name", field, message)
      .with_hint("a name of the agent's host as in /etc/passwd, not its number"),
  );
}

/// Whether a secret may be called so: its name is also the name of its file.
pub fn is_secret_name(name: &str) -> bool {
  let fine = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
  (1..=SECRET_NAME_MAX).contains(&name.len())
    && name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    && name.chars().all(fine)
}

/// What a name of a secret looks like, for hints.
pub const SECRET_NAME_HINT: &str =
  "1 to 64 letters, digits and . _ -, not starting with a dot or a dash";

/// Checks the names of secrets that a config asks for.
pub fn check_secrets(names: &[String], field: &str, errors: &mut Vec<FieldError>) {
  if names.len() > SECRETS_MAX {
    let message = format!("{} secrets, {SECRETS_MAX} are allowed", names.len());
    errors.push(FieldError::new("secret.too_many", field, message));
    return;
  }
  for (index, name) in names.iter().enumerate() {
    let here = format!("{field}/{index}");
    if !is_secret_name(name) {
      let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
      let message = format!("\"{shown}\" is not the name of a secret");
      errors.push(FieldError::new("secret.name", here, message).with_hint(SECRET_NAME_HINT));
    } else if names[..index].contains(name) {
      errors.push(FieldError::new("secret.name", here, format!("{name} stands here twice")));
    }
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn names_that_could_be_something_else_are_refused() {
    for (name, fine) in [
      ("deploy", true),
      ("www-data", true),
      ("_apt", true),
      ("bob@corp.example", true),
      ("", false),
      ("0", false),
      ("-u", false),
      ("a b", false),
      ("a\n", false),
      ("../x", false),
    ] {
      let mut errors = Vec::new();
      check_user(name, "/run_as", &mut errors);
      assert_eq!(errors.is_empty(), fine, "{name:?}");
    }
    for name in ["", ".", "..", ".x", "a/b", "-x", "a\0", "é", &"x".repeat(65)] {
      assert!(!is_secret_name(name), "{name:?}");
    }
    let names = ["db_password", "tls.key", "tls.key", "../x"].map(str::to_owned);
    let mut errors = Vec::new();
    check_secrets(&names, "/secrets", &mut errors);
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["/secrets/2", "/secrets/3"]);
  }
}
