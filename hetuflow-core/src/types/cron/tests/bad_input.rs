//! RELIABILITY §10.1, rows B001 to B017 and B029.

use proptest::prelude::*;

use super::super::{CronError, CronExpression, cron_fields};

fn refuse(text: &str) -> CronError {
  match CronExpression::parse(text, 42) {
    Err(error) => error,
    Ok(expression) => panic!("{text:?} was accepted: {}", expression.describe()),
  }
}

/// Row, input, code, words of message and hint, the text under the caret ("" = none).
const ROWS: [(&str, &str, &str, &str, &str); 73] = [
  ("B001", "", "cron.empty", "got 0", ""),
  ("B001", "   ", "cron.empty", "got 0", ""),
  ("B002", "* * * *", "cron.field_count", "got 4", "* * * *"),
  ("B002", "0 0 1 1 * 2030 9 9", "cron.field_count", "got 8", "0 0 1 1 * 2030 9 9"),
  ("B002", "@daily 5", "cron.field_count", "more text", "@daily 5"),
  ("B003", "60 * * * *", "cron.out_of_range", "minute 60 (allowed 0–59)", "60"),
  ("B004", "* 24 * * *", "cron.out_of_range", "hour 24 (allowed 0–23)", "24"),
  ("B004", "0 25 * * 1-5", "cron.out_of_range", "hour 25 (allowed 0–23)", "25"),
  ("B004", "* * 0 * *", "cron.out_of_range", "day 0 (allowed 1–31)", "0"),
  ("B004", "* * 32 * *", "cron.out_of_range", "day 32 (allowed 1–31)", "32"),
  ("B004", "* * * 13 *", "cron.out_of_range", "month 13 (allowed 1–12)", "13"),
  ("B004", "* * * * 8", "cron.out_of_range", "weekday 8 (allowed 0–7)", "8"),
  ("B004", "1,2,77 * * * *", "cron.out_of_range", "minute 77", "77"),
  ("B004", "0 0 0 1 1 * 1969", "cron.out_of_range", "year 1969 (allowed 1970–2099)", "1969"),
  ("B004", "0 0 1 1 * 2030", "cron.out_of_range", "seven fields", "2030"),
  ("B004", "0 0 32W * *", "cron.out_of_range", "day 32", "32"),
  ("B004", "0 0 * * 8L", "cron.out_of_range", "weekday 8", "8"),
  ("B005", "*/0 * * * *", "cron.step_zero", "step", "0"),
  ("B005", "* * 1-5/0 * *", "cron.step_zero", "day step", "0"),
  ("B006", "5-1 * * * *", "cron.range_reversed", "write 5-59,0-1", "5-1"),
  ("B006", "* * 25-5 * *", "cron.range_reversed", "write 25-31,1-5", "25-5"),
  ("B006", "0 22-2/2 * * *", "cron.range_reversed", "write 22,0,2", "22-2"),
  ("B006", "0 0 * * 7-2", "cron.range_reversed", "write 0-2", "7-2"),
  ("B006", "H(9-3) * * * *", "cron.range_reversed", "smaller", "H(9-3)"),
  ("B006", "9~3 * * * *", "cron.range_reversed", "smaller", "9~3"),
  ("B007", "0 0 30 2 *", "cron.never_fires", "30 February does not exist", "30 2"),
  ("B007", "0 0 31 4,6,9,11 *", "cron.never_fires", "31 April or June", "31 4,6,9,11"),
  ("B007", "0 0 */31 * MON#2", "cron.never_fires", "400-year", "*/31 *"),
  ("B007", "0 0 31W 2 ?", "cron.never_fires", "400-year", "31W 2"),
  ("B007", "0 0 0 29 2 ? 2027", "cron.never_fires", "29 February does not exist", "29 2"),
  ("B008", "? 0 * * *", "cron.unsupported", "'?' is Quartz syntax", "?"),
  ("B008", "0 0 ?/2 * *", "cron.unsupported", "use '*'", "?"),
  ("B008", "0 0 L-3 * *", "cron.unsupported", "days before the last", "L-3"),
  ("B008", "15W * * * *", "cron.unsupported", "W belongs to the day field", "15W"),
  ("B008", "0 0 1-15W * *", "cron.unsupported", "one day", "15W"),
  ("B008", "0 0 * * L", "cron.unsupported", "5L", "L"),
  ("B008", "L 0 * * *", "cron.unsupported", "day field", "L"),
  ("B008", "0 0 1#2 * *", "cron.unsupported", "'#' belongs to the weekday", "1#2"),
  ("B009", "@every 5m", "cron.unsupported", "use kind: interval", "@every 5m"),
  ("B009", "@reboot", "cron.unsupported", "use kind: interval", "@reboot"),
  ("B009", "@fortnightly", "cron.unsupported", "@monthly", "@fortnightly"),
  ("B010", "TZ=Europe/Berlin 0 2 * * *", "cron.tz_prefix", "timezone field", "TZ=Europe/Berlin"),
  ("B010", " CRON_TZ=UTC", "cron.tz_prefix", "timezone field", "CRON_TZ=UTC"),
  ("B011", "0 0 0 1 1 ? H", "cron.unsupported", "hash", "H"),
  ("B011", "0 0 0 1 1 ? 2030~2040", "cron.unsupported", "hash", "2030~2040"),
  ("B011", "H(5) * * * *", "cron.bad_char", "H(0-29)", "("),
  ("B012", "0 0 * * MON#6", "cron.nth", "1–5", "MON#6"),
  ("B012", "0 0 * * MON#0", "cron.nth", "1–5", "MON#0"),
  ("B012", "0 0 * * MON#", "cron.nth", "1–5", "MON#"),
  ("B012", "0 0 * * MON#1#2", "cron.nth", "1–5", "MON#1#2"),
  ("B013", "99999999999999999999 * * * *", "cron.out_of_range", "minute", "99999999999999999999"),
  ("B013", "*/99999999999999999999 * * * *", "cron.out_of_range", "step", "99999999999999999999"),
  ("B015", "٠ * * * *", "cron.bad_char", "U+0660 '٠' at column 1", "٠"),
  ("B015", "１ * * * *", "cron.bad_char", "U+FF11", "１"),
  ("B015", "* *\u{a0}* * *", "cron.bad_char", "U+00A0 '\\u{a0}' at column 4", "\u{a0}"),
  ("B015", "* * * * \0", "cron.bad_char", "U+0000 '\\0' at column 9", "\0"),
  ("B015", "* * * *\n*", "cron.bad_char", "U+000A '\\n' at column 8", "\n"),
  ("B016", "0 0 * * FRI-MON", "cron.range_reversed", "write FRI,SAT,SUN,MON", "FRI-MON"),
  ("B016", "0 0 1 NOV-FEB *", "cron.range_reversed", "write NOV,DEC,JAN,FEB", "NOV-FEB"),
  ("B017", "0 0 * JANUARY *", "cron.bad_name", "write JAN", "JANUARY"),
  ("B017", "0 0 MON * *", "cron.bad_name", "MON belongs to the weekday field", "MON"),
  ("B017", "0 0 * MON *", "cron.bad_name", "MON belongs to the weekday field", "MON"),
  ("B017", "5x * * * *", "cron.bad_name", "'5x' is not a minute value", "5x"),
  ("B029", "60 * * * * *", "cron.out_of_range", "leap seconds are not scheduled", "60"),
  ("syntax", "1,,2 * * * *", "cron.bad_char", "a value is missing", ""),
  ("syntax", "1- * * * *", "cron.bad_char", "a value is missing", ""),
  ("syntax", "0 0 * * 5/", "cron.bad_char", "a value is missing", ""),
  ("syntax", "/5 * * * *", "cron.bad_char", "a value is missing", ""),
  ("syntax", "-5 * * * *", "cron.bad_char", "unexpected '-'", "-"),
  ("syntax", "*5 * * * *", "cron.bad_char", "unexpected '5'", "5"),
  ("syntax", "*/5/5 * * * *", "cron.bad_char", "unexpected '/'", "/"),
  ("syntax", "1-2-3 * * * *", "cron.bad_char", "unexpected '-'", "-"),
  ("syntax", "@ * * * *", "cron.unsupported", "@hourly", "@ * * * *"),
];

#[test]
fn every_row_has_its_code_words_and_caret() {
  for (row, text, code, words, caret) in ROWS {
    let error = refuse(text);
    let said = format!("{error} | {}", error.hint.as_deref().unwrap_or_default());
    assert_eq!(error.code, code, "{row} {text:?}: {said}");
    assert!(said.contains(words), "{row} {text:?}: {said}");
    assert!(!said.contains(char::is_control), "{row}: one harmless line");
    let span = error.span.clone().unwrap_or(0..0);
    assert_eq!(text.get(span).unwrap_or_default(), caret, "{row} {text:?}: {error:?}");
  }
}

#[test]
fn b014_long_texts_are_refused_unread() {
  let error = refuse(&"1,".repeat(512 * 1024));
  assert_eq!(error.code, "cron.too_long");
  assert!(error.message.contains("limit 256"), "{error}");
  let fits = format!("{}1 * * * *", "1,".repeat((256 - 9) / 2));
  assert!(fits.len() <= 256 && CronExpression::parse(&fits, 0).is_ok());
}

#[test]
fn a_refused_text_can_still_be_explained_by_field() {
  let fields = cron_fields("0 25 * * 1-5");
  let shown: Vec<_> = fields.iter().map(|(name, text)| format!("{name}={text}")).collect();
  assert_eq!(shown.join("  "), "minute=0  hour=25  day=*  month=*  weekday=1-5");
  assert!(cron_fields("nonsense").is_empty());
}

proptest! {
  /// Nothing a stranger types panics, and every error can be shown.
  #[test]
  fn no_text_panics(text in "[ -~]{0,40}|[0-9*,/LWH#?~()A-Z \t-]{0,40}|.{0,20}", seed: u64) {
    if let Err(error) = CronExpression::parse(&text, seed) {
      prop_assert!(!error.message.contains(char::is_control));
      if let Some(span) = error.span {
        prop_assert!(text.get(span.clone()).is_some(), "{:?} of {:?}", span, text);
      }
    }
  }

  /// Texts that look like expressions: parse, describe and search never panic.
  #[test]
  fn no_accepted_text_panics(
    parts in prop::collection::vec("[0-9*,/LWH#?~-]{1,4}|H|\\*|[1-9]|MON|JAN", 5..=7),
    seed: u64,
  ) {
    if let Ok(expression) = CronExpression::parse(&parts.join(" "), seed) {
      prop_assert!(!expression.describe().is_empty());
      let berlin = super::super::CronZone::named("Europe/Berlin").unwrap();
      expression.next_after(super::ts("2026-03-28T12:00:00Z"), &berlin);
    }
  }
}
