//! §10.1: expressions, zones, intervals, windows.

use serde_json::json;

use crate::api::{Case, Door};

/// Row, expression, code, words.
const CRON: &[(&str, &str, &str, &str)] = &[
  ("B001", "", "cron.empty", "expected 5, 6 or 7 fields, got 0"),
  ("B001", "   ", "cron.empty", "got 0"),
  ("B002", "* * * *", "cron.field_count", "got 4"),
  ("B002", "0 0 1 1 * 2030 9 9", "cron.field_count", "got 8"),
  ("B003", "60 * * * *", "cron.out_of_range", "minute 60 (allowed 0–59)"),
  ("B004", "* 24 * * *", "cron.out_of_range", "hour 24 (allowed 0–23)"),
  ("B004", "* * 0 * *", "cron.out_of_range", "day 0 (allowed 1–31)"),
  ("B004", "* * 32 * *", "cron.out_of_range", "day 32"),
  ("B004", "* * * 13 *", "cron.out_of_range", "month 13 (allowed 1–12)"),
  ("B004", "* * * * 8", "cron.out_of_range", "weekday 8 (allowed 0–7)"),
  ("B005", "*/0 * * * *", "cron.step_zero", "step"),
  ("B006", "5-1 * * * *", "cron.range_reversed", "write 5-59,0-1"),
  ("B007", "0 0 30 2 *", "cron.never_fires", "30 February"),
  ("B007", "0 0 31 4,6,9,11 *", "cron.never_fires", "31 April"),
  ("B008", "? 0 * * *", "cron.unsupported", "'?' is Quartz syntax"),
  ("B008", "0 0 L-3 * *", "cron.unsupported", "days before the last"),
  ("B009", "@every 5m", "cron.unsupported", "use kind: interval"),
  ("B009", "@reboot", "cron.unsupported", "use kind: interval"),
  ("B010", "TZ=Europe/Berlin 0 2 * * *", "cron.tz_prefix", "use the timezone field"),
  ("B010", "CRON_TZ=UTC", "cron.tz_prefix", "use the timezone field"),
  ("B011", "0 0 0 1 1 ? H", "cron.unsupported", "hash"),
  ("B012", "0 0 * * MON#6", "cron.nth", "1–5"),
  ("B012", "0 0 * * MON#0", "cron.nth", "1–5"),
  ("B012", "0 0 * * MON#", "cron.nth", "1–5"),
  ("B013", "99999999999999999999 * * * *", "cron.out_of_range", "minute"),
  ("B015", "٠ * * * *", "cron.bad_char", "U+0660"),
  ("B015", "１ * * * *", "cron.bad_char", "U+FF11"),
  ("B015", "* *\u{a0}* * *", "cron.bad_char", "at column 4"),
  ("B015", "* * * * \0", "cron.bad_char", "U+0000"),
  ("B016", "0 0 * * FRI-MON", "cron.range_reversed", "write FRI,SAT,SUN,MON"),
  ("B017", "0 0 * JANUARY *", "cron.bad_name", "write JAN"),
  ("B017", "0 0 MON * *", "cron.bad_name", "belongs to the weekday field"),
  ("B029", "60 * * * * *", "cron.out_of_range", "leap seconds are not scheduled"),
];

/// Row, zone, words.
const ZONES: &[(&str, &str, &str)] = &[
  ("B018", "Mars/Phobos", "the nearest names are"),
  ("B018", "", "the time zone is empty"),
  ("B018", "EST5EDT4", "EST5EDT"),
  ("B018", "UTC+8", "Etc/GMT-8"),
  ("B018", "../../etc/passwd", "unknown time zone"),
  ("B018", "Europe/Berlin\0", "Europe/Berlin"),
  ("B019", "CST", "abbreviations are ambiguous"),
  ("B019", "europe/berlin", "write Europe/Berlin"),
];

/// Row, fields of a schedule, code, field, words.
const FIELDS: &[(&str, &str, &str, &str, &str)] = &[
  ("B020", "\"interval_secs\":0", "interval.range", "/interval_secs", "1 s … 366 d"),
  ("B020", "\"interval_secs\":-5", "interval.range", "/interval_secs", ""),
  ("B020", "\"interval_secs\":0.1", "interval.range", "/interval_secs", "whole number"),
  ("B020", "\"interval_secs\":\"5\"", "interval.range", "/interval_secs", "unit"),
  ("B020", "\"interval_secs\":\"1ns\"", "interval.range", "/interval_secs", "unit"),
  // What JSON cannot hold is refused by B039's rule, before anybody asks what it is for.
  ("B020", "\"interval_secs\":1e400", "number.range", "/interval_secs", ""),
  ("B020", "\"interval_secs\":9223372036854775807", "number.range", "/interval_secs", "2^53"),
  ("B020", "\"interval_secs\":31622401", "interval.range", "/interval_secs", "1 s … 366 d"),
  (
    "B021",
    "\"start_time\":\"2130-01-02T00:00:00Z\",\"end_time\":\"2130-01-01T00:00:00Z\"",
    "schedule.window_empty",
    "/end_time",
    "not after",
  ),
  (
    "B021",
    "\"start_time\":\"2020-01-01T00:00:00Z\",\"end_time\":\"2020-01-02T00:00:00Z\"",
    "schedule.window_empty",
    "/end_time",
    "in the past",
  ),
  ("B022", "\"start_time\":\"2025-02-30T00:00:00Z\"", "time.invalid", "/start_time", ""),
  ("B022", "\"start_time\":\"tomorrow\"", "time.invalid", "/start_time", ""),
  ("B022", "\"start_time\":\"2025-02-03T00:00:00\"", "time.invalid", "/start_time", "offset"),
  ("B022", "\"start_time\":\"10000-01-01T00:00:00Z\"", "time.invalid", "/start_time", ""),
  ("B022", "\"start_time\":\"2025-02-03T00:00:60Z\"", "time.invalid", "/start_time", "second 60"),
  ("B022", "\"end_time\":\"2130-12-31T23:59:60+01:00\"", "time.invalid", "/end_time", "leap"),
  ("B023", "\"interval_secs\":60", "schedule.kind_conflict", "/schedule_kind", ""),
  ("B024", "\"misfire\":\"all\",\"catchup_max\":1000000", "catch_up.max", "/catchup_max", "100"),
  ("B025", "\"max_count\":0", "number.range", "/max_count", "at least 1"),
  ("B025", "\"max_count\":-1", "number.range", "/max_count", "at least 1"),
  ("B030", "\"schedule_kind\":\"flow\"", "schedule.unsupported", "/schedule_kind", "not built"),
];

/// The cases of schedules; fields stand beside a good expression where they need one.
pub fn cases() -> Vec<Case> {
  let case = |row, input: String, code, field, says| Case {
    row,
    door: Door::Schedule,
    input: input.into_bytes(),
    status: 422,
    code,
    field,
    says,
  };
  let cron = |row, text: &str, code, says| {
    case(row, format!("\"cron\":{}", json!(text)), code, "/cron_expression", says)
  };
  let mut cases: Vec<Case> =
    CRON.iter().map(|(row, text, code, says)| cron(row, text, code, says)).collect();
  let long = "1,".repeat(500 << 10);
  cases.push(cron("B014", &format!("{long}1 * * * *"), "cron.too_long", "limit 256"));
  for (row, zone, says) in ZONES {
    let input = format!("\"cron\":\"@daily\",\"timezone\":{}", json!(zone));
    cases.push(case(row, input, "tz.unknown", "/timezone", says));
  }
  for (row, fields, code, field, says) in FIELDS {
    let alone = *row == "B020" || *row == "B030";
    let input = if alone { (*fields).to_owned() } else { format!("\"cron\":\"@daily\",{fields}") };
    cases.push(case(row, input, code, field, says));
  }
  let neither = "\"name\":\"x\"".to_owned();
  let says = "give cron_expression or interval_secs";
  cases.push(case("B023", neither, "schedule.kind_conflict", "/schedule_kind", says));
  cases
}
