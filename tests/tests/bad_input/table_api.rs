//! B001 to B058: schedules, bodies, addresses.

use crate::table::Proof::{Cases, Story, Unit};
use crate::table::Row;
use crate::table::State::{self, Done, NotYet};

/// A row.
const fn row(id: &'static str, input: &'static str, state: State) -> Row {
  Row { id, input, state }
}

/// The parser's own rows.
const PARSER: &str = "hetuflow-core/src/types/cron/tests/bad_input.rs";
/// What extensions mean.
const MEANING: &str = "hetuflow-core/src/types/cron/tests/meaning.rs";
/// Bodies at the door.
const JSON: &str = "hetuflow-server/src/endpoint/tests/json_rows.rs";
/// Routes at the door.
const ROUTES: &str = "hetuflow-server/src/endpoint/tests/routes.rs";
/// A row of the parser that is also sent to the server.
const PARSED: State = Done(&[Cases, Unit(PARSER, "every_row_has_its_code_words_and_caret")]);
/// A row that inputs alone show.
const SENT: State = Done(&[Cases]);
/// A row of one long story.
const TOLD: State = Done(&[Story("what_is_there_is_not_spoilt")]);

/// §10.1
pub const CRON: &[Row] = &[
  row("B001", "empty, blanks: cron.empty", PARSED),
  row("B002", "4 and 8 fields: cron.field_count; 7 are accepted, the last is a year", PARSED),
  row("B003", "minute 60: cron.out_of_range; server, ctl and YAML", PARSED),
  row("B004", "hour 24, day 0 and 32, month 13, weekday 8", PARSED),
  row("B005", "step 0: cron.step_zero", PARSED),
  row("B006", "5-1: cron.range_reversed with what to write", PARSED),
  row("B007", "30 February, 31 April: cron.never_fires", PARSED),
  row("B008", "L-3, ? outside day fields; ? and W in a day field are accepted", PARSED),
  row("B009", "@every, @reboot: cron.unsupported", PARSED),
  row("B010", "TZ=, CRON_TZ=: cron.tz_prefix", PARSED),
  row(
    "B011",
    "H and ~ are accepted, but not in a year",
    Done(&[
      Cases,
      Unit(PARSER, "every_row_has_its_code_words_and_caret"),
      Unit(MEANING, "hash_values_stay_inside_their_range_and_never_move"),
    ]),
  ),
  row("B012", "MON#6, MON#0, MON#: cron.nth", PARSED),
  row("B013", "20 digits: cron.out_of_range", PARSED),
  row(
    "B014",
    "1 MiB of 1,1,1: cron.too_long",
    Done(&[Cases, Unit(PARSER, "b014_long_texts_are_refused_unread")]),
  ),
  row("B015", "foreign digits, no-break space, NUL: cron.bad_char with its place", PARSED),
  row("B016", "FRI-MON: the list to write", PARSED),
  row("B017", "JANUARY, MON in the day field: cron.bad_name", PARSED),
  row(
    "B018",
    "Mars/Phobos, empty, EST5EDT4, UTC+8, ../../etc/passwd, NUL: tz.unknown with names",
    Done(&[
      Cases,
      Unit("hetuflow-core/src/types/cron/tests/zone.rs", "b018_and_b019_unknown_names_offer_help"),
    ]),
  ),
  row("B019", "CST, europe/berlin: tz.unknown with the reason", SENT),
  row(
    "B020",
    "0, -5, 0.1, \"5\", 1ns, 366 d + 1 s: interval.range; 1e400 and 2^63-1: number.range, as B039",
    Done(&[Cases, Unit("hetuflow-core/src/types/interval.rs", "b020_interval_range")]),
  ),
  row("B021", "end before start, both in the past: schedule.window_empty", SENT),
  row(
    "B022",
    "30 February, tomorrow, no offset, year 10000, second 60: time.invalid",
    Done(&[Cases, Unit("hetuflow-core/src/types/ts.rs", "leap_seconds_are_refused")]),
  ),
  row("B023", "cron and interval, neither: schedule.kind_conflict", SENT),
  row("B024", "catchup_max 1000000: catch_up.max", SENT),
  row("B025", "max_count 0, -1: number.range", SENT),
  row("B026", "replace with at_most_once is accepted: the one stops runs, the other retries", TOLD),
  row("B027", "exclusive without the time after which its agent stops it: policy.incomplete", SENT),
  row("B028", "timeout 0, 1 fortnight, -1s: duration.invalid", SENT),
  row("B029", "second 60: leap seconds are not scheduled", PARSED),
  row("B030", "flows", NotYet("flows are not built; kind flow is refused: schedule.unsupported")),
];

/// §10.2
pub const HTTP: &[Row] = &[
  row(
    "B031",
    "empty, null, [], \"x\", {: 400 json.syntax with its place, 422 json.type",
    Done(&[Cases, Unit(JSON, "b031_and_b032_say_where_and_what_was_meant")]),
  ),
  row(
    "B032",
    "comand: json.unknown_field, did you mean command; server and YAML",
    Done(&[Cases, Unit(JSON, "b032_a_misspelt_name_is_told_beside_the_missing_one")]),
  ),
  row("B033", "a key twice: 400 json.duplicate_key", SENT),
  row(
    "B034",
    "10,000 levels: 400 json.depth",
    Done(&[Cases, Unit(JSON, "b034_ten_thousand_levels_do_no_harm")]),
  ),
  row(
    "B035",
    "1 MiB + 1, wrong, two and negative lengths, TE with CL, chunks without end: once, closed",
    Done(&[
      Cases,
      Story("every_request_is_refused_once"),
      Unit(JSON, "b035_large_bodies_are_refused"),
    ]),
  ),
  row(
    "B036",
    "text/plain, none, UTF-16: 415 content_type.unsupported",
    Done(&[Story("what_is_there_is_not_spoilt"), Unit(JSON, "b036_only_json_in_utf8_is_read")]),
  ),
  row(
    "B037",
    "gzip: 415 encoding.unsupported, unread",
    Done(&[Story("what_is_there_is_not_spoilt"), Unit(JSON, "b037_packed_bodies_are_refused")]),
  ),
  row("B038", "bytes, lone surrogate, BOM: 400 json.utf8", SENT),
  row("B039", "NaN, 1e999, -0, 1.0, 2^63, 2^53+1: number.range", SENT),
  row(
    "B040",
    "names: name.invalid with the pattern; no emoji; NULL is a name",
    Done(&[Cases, Story("what_is_there_is_not_spoilt")]),
  ),
  row("B041", "NFC makes one name (409), case makes two", TOLD),
  row("B042", "argv empty, NUL, 200 kB, 100,000 items: command.*; 3 MiB: 413", SENT),
  row("B043", "variable names, reserved ones, NUL, 10,000: env.*", SENT),
  row(
    "B044",
    "relative, .., /proc/self: path.invalid; a missing folder: the attempt does not start",
    Done(&[Cases, Story("attempts_that_are_over")]),
  ),
  row("B045", "priority 2^31, max_retries -1 and 1000001: number.range", SENT),
  row(
    "B046",
    "keys of 300 bytes, a==b, a in (), !!x, ESC, / and ~: labels.key, selector.syntax at the key",
    Done(&[Cases, Unit("hetuflow-core/src/types/error.rs", "pointers_are_one_harmless_line")]),
  ),
  row(
    "B047",
    "no UUID, nil UUID, ids of another namespace: one body for absent and foreign",
    Done(&[Cases, Story("b047_what_is_not_yours_is_not_there")]),
  ),
  row(
    "B048",
    "limit 0, -1, 1e9, abc; cursor garbage, or of another list or filter",
    Done(&[Cases, Story("b048_a_cursor_is_of_one_list_and_filter")]),
  ),
  row(
    "B049",
    "runnning, sort, a parameter twice: filter.value with the values, query.unknown",
    Done(&[Cases, Unit(ROUTES, "b048_b049_b053_addresses_that_are_wrong")]),
  ),
  row("B050", "SQL metacharacters in every text: stored and returned as they are", TOLD),
  row("B051", "stale If-Match: 412 revision.conflict with the version", TOLD),
  row("B052", "same key, other body: 409 idempotency.mismatch", TOLD),
  row(
    "B053",
    "methods, //, %2e%2e, %00, trailing slash, 20 KiB: 405, 404, 400, 414",
    Done(&[Cases, Unit(ROUTES, "b048_b049_b053_addresses_that_are_wrong")]),
  ),
  row("B054", "200 headers, 70 kB, CR, fold, NUL: 431, 400", SENT),
  row("B055", "disabled job: 409 job.disabled; deleted job: 404", TOLD),
  row("B056", "cancel what is over: 409 with its state", Done(&[Story("attempts_that_are_over")])),
  row(
    "B057",
    "Basic, empty, 10 KiB, token in the address: 401, 400; not logged, not echoed",
    Done(&[
      Story("b057_credentials_that_are_none"),
      Unit(ROUTES, "b057_credentials_that_are_none"),
    ]),
  ),
  row(
    "B058",
    "from_offset beyond the end: 416; -1, x: 400. Range headers are not read: the door has offsets",
    Done(&[Story("attempts_that_are_over")]),
  ),
];
