//! A task by a part of its id: any unique begin or end of four characters or more (R15).

use hetuflow_core::{PAGE_LIMIT_MAX, Page, TaskEntity};

use crate::client::{Call, Client, CtlError, Exit};

/// Shorter parts are asked to be longer.
const PART_CHARS_MIN: usize = 4;
/// The newest tasks are looked through, so many pages of them.
const PAGES_MAX: usize = 5;
/// Candidates that are named.
const CANDIDATES_MAX: usize = 10;

/// Whether a text can be a part of an id.
fn is_part(text: &str) -> bool {
  // Whole ids were looked for by the server.
  text.len() >= PART_CHARS_MIN
    && text.len() < 36
    && hetuflow_core::parse_short_id(text).is_none()
    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Small letters, and the digits that people mean.
fn plain(text: &str) -> String {
  text
    .to_ascii_lowercase()
    .chars()
    .map(|c| match c {
      'i' | 'l' => '1',
      'o' => '0',
      c => c,
    })
    .collect()
}

fn is_named(task: &TaskEntity, part: &str) -> bool {
  let (short, long) = (task.id.short(), task.id.to_string());
  let digits = plain(part);
  short.starts_with(&digits)
    || short.ends_with(&digits)
    || long.starts_with(&part.to_ascii_lowercase())
    || long.ends_with(&part.to_ascii_lowercase())
}

/// The one task of the namespace that a part of an id names; `None` when there is none among the
/// newest.
///
/// # Errors
/// Conflict, with the candidates, where there are several; what the server says.
pub async fn find(client: &Client, part: &str) -> Result<Option<TaskEntity>, CtlError> {
  if !is_part(part) {
    return Ok(None);
  }
  let mut found: Vec<TaskEntity> = Vec::new();
  let mut cursor = None;
  for _ in 0..PAGES_MAX {
    let call = Call::get("/tasks")
      .query("namespace_id", &client.place.namespace)
      .query("limit", PAGE_LIMIT_MAX)
      .query_some("cursor", cursor);
    let page: Page<TaskEntity> = client.fetch(call).await?;
    found.extend(page.data.into_iter().filter(|task| is_named(task, part)));
    cursor = page.page.next_cursor;
    if cursor.is_none() || found.len() > CANDIDATES_MAX {
      break;
    }
  }
  if found.len() > 1 {
    return Err(ambiguous(part, &found));
  }
  Ok(found.pop())
}

fn ambiguous(part: &str, found: &[TaskEntity]) -> CtlError {
  let many = if found.len() > CANDIDATES_MAX { "more than " } else { "" };
  let count = found.len().min(CANDIDATES_MAX);
  let mut error =
    CtlError::new(Exit::Conflict, format!("\"{}\" names {many}{count} tasks", part.escape_debug()));
  error.facts = found
    .iter()
    .take(CANDIDATES_MAX)
    .map(|task| format!("{}  {}  {}", task.id.short(), task.job_name, task.status))
    .collect();
  error.help("give more characters")
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::command::sample;

  #[test]
  fn heads_and_tails() {
    let task = sample::task();
    let (short, long) = (task.id.short(), task.id.to_string());
    for part in [&short[..4], &short[4..], &short[1..], &long[..9], &long[27..]] {
      assert!(is_part(part) && is_named(&task, part), "{part}");
      assert!(is_named(&task, &part.to_ascii_uppercase()), "{part}");
    }
    assert!(!is_named(&task, "zzzz"));
    for no in ["abc", "a b c d", "é1234", "etl@latest", &short, &long] {
      assert!(!is_part(no), "{no}");
    }
  }
}
