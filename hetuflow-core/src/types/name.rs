//! Names that people give to jobs, schedules and namespaces.

use unicode_normalization::UnicodeNormalization;

use super::FieldError;

/// Longest name, in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// Brings a name into its one form (NFC) and checks it: 1 to 128 Unicode letters, digits and
/// `. _ -`, the first a letter or digit; `/` is reserved. Case matters.
///
/// # Errors
/// `name.invalid`, with the pattern as its hint.
pub fn check_name(name: &str, field: &str) -> Result<String, FieldError> {
  let name: String = name.nfc().collect();
  let mut chars = name.chars();
  let first = chars.next().is_some_and(char::is_alphanumeric);
  let rest = chars.all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
  if first && rest && name.chars().count() <= NAME_CHARS_MAX {
    return Ok(name);
  }
  let shown: String = name.chars().take(40).flat_map(char::escape_default).collect();
  Err(
    FieldError::new("name.invalid", field, format!("\"{shown}\" is not a name"))
      .with_hint("1 to 128 letters, digits and . _ -, starting with a letter or digit"),
  )
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn names_have_one_form() {
    let bad = ["", "../x", "a/b", "a\nb", "\u{202e}x", "a\u{200b}b", "🚀", "-a", ".a"];
    for bad in bad.into_iter().chain([&*"a".repeat(129)]) {
      assert_eq!(check_name(bad, "/name").expect_err("refused").code, "name.invalid");
    }
    assert_eq!(check_name("cafe\u{301}", "/name").expect("valid"), "café");
    assert_eq!(check_name("备份-1", "/name").expect("valid"), "备份-1");
  }
}
