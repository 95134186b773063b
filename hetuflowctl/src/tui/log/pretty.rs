//! A line that is one JSON document, set out over rows. Names keep their order and their spelling.

use serde::de::IgnoredAny;

/// Deeper documents are shown as they came.
const DEPTH_MAX: usize = 64;

/// The document over several rows; nothing when the line is no JSON object or array.
pub fn pretty(line: &[u8]) -> Option<Vec<u8>> {
  let body = line.trim_ascii();
  if !matches!(body.first(), Some(b'{' | b'[')) {
    return None;
  }
  serde_json::from_slice::<IgnoredAny>(body).ok()?;
  let mut out = Vec::with_capacity(body.len() * 2);
  let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
  let fresh_row = |out: &mut Vec<u8>, depth: usize| {
    out.push(b'\n');
    out.resize(out.len() + depth * 2, b' ');
  };
  for (at, &byte) in body.iter().enumerate() {
    if in_text {
      in_text = escaped || byte != b'"';
      escaped = !escaped && byte == b'\\';
      out.push(byte);
      continue;
    }
    match byte {
      b'{' | b'[' => {
        out.push(byte);
        depth += 1;
        if depth > DEPTH_MAX {
          return None;
        }
        let next = body[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(next, Some(b'}' | b']')) {
          fresh_row(&mut out, depth);
        }
      }
      b'}' | b']' => {
        depth = depth.saturating_sub(1);
        if !matches!(out.last(), Some(b'{' | b'[')) {
          fresh_row(&mut out, depth);
        }
        out.push(byte);
      }
      b',' => {
        out.push(byte);
        fresh_row(&mut out, depth);
      }
      b':' => out.extend_from_slice(b": "),
      byte if byte.is_ascii_whitespace() => {}
      byte => {
        in_text = byte == b'"';
        out.push(byte);
      }
    }
  }
  Some(out)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn only_documents_are_set_out() {
    for line in ["", "{", "1", "\"x\"", "{\"a\":1} and more", "INFO {\"a\":1}"] {
      assert_eq!(pretty(line.as_bytes()), None, "{line}");
    }
    let shown = pretty(br#" {"b":"x, \" {","a":[1,{}, []]} "#).expect("a document");
    let expected = "{\n  \"b\": \"x, \\\" {\",\n  \"a\": [\n    1,\n    {},\n    []\n  ]\n}";
    assert_eq!(String::from_utf8(shown).expect("text"), expected);
    let deep = "[".repeat(65) + &"]".repeat(65);
    assert_eq!(pretty(deep.as_bytes()), None);
  }
}
