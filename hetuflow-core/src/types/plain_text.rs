//! Small things about text that several programs do alike.

/// Why a text cannot be cut into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
  /// A backslash has nothing behind it.
  #[error("ends with a backslash")]
  Backslash,
  /// A quote has no end.
  #[error("has a quote that is not closed")]
  Quote,
}

/// Cuts a text into words as a shell would: quotes and backslashes, no expansion, no comments.
///
/// # Errors
/// Where a quote is open or a backslash stands last.
pub fn split_words(text: &str) -> Result<Vec<String>, WordsError> {
  let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
  let mut chars = text.chars();
  while let Some(c) = chars.next() {
    match (quote, c) {
      (Some(open), c) if c == open => quote = None,
      (None, '\'' | '"') => {
        quote = Some(c);
        word.get_or_insert_default();
      }
      (None | Some('"'), '\\') => {
        word.get_or_insert_default().push(chars.next().ok_or(WordsError::Backslash)?);
      }
      (None, c) if c.is_whitespace() => all.extend(word.take()),
      (_, c) => word.get_or_insert_default().push(c),
    }
  }
  if quote.is_some() {
    return Err(WordsError::Quote);
  }
  all.extend(word);
  Ok(all)
}

/// `12345` as `12,345`.
pub fn grouped(number: u64) -> String {
  let digits = number.to_string();
  let mut out = String::with_capacity(digits.len() + digits.len() / 3);
  for (i, digit) in digits.chars().enumerate() {
    if i > 0 && (digits.len() - i).is_multiple_of(3) {
      out.push(',');
    }
    out.push(digit);
  }
  out
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn thousands_are_parted() {
    let all = [0, 999, 1_204, 10_000_000].map(grouped);
    assert_eq!(all, ["0", "999", "1,204", "10,000,000"]);
  }

  #[test]
  fn words_as_a_shell_cuts_them() {
    for (text, expected) in [
      ("a b  c", &["a", "b", "c"][..]),
      ("a 'b c' \"d \\\" e\" f\\ g", &["a", "b c", "d \" e", "f g"]),
      ("'' x", &["", "x"]),
      ("@/etc/passwd $HOME *", &["@/etc/passwd", "$HOME", "*"]),
      ("", &[]),
    ] {
      assert_eq!(split_words(text).expect(text), expected, "{text}");
    }
    assert_eq!(split_words("'a"), Err(WordsError::Quote));
    assert_eq!(split_words("a \\"), Err(WordsError::Backslash));
  }
}
