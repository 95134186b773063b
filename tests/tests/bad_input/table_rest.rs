//! B059 to B110: frames, words, files, settings.

use crate::table::Proof::{Cases, Story, Unit};
use crate::table::Row;
use crate::table::State::{self, Done, NotYet};

/// A row.
const fn row(id: &'static str, input: &'static str, state: State) -> Row {
  Row { id, input, state }
}

/// Manifests without a server.
const APPLY: &str = "hetuflowctl/src/command/apply/tests.rs";
/// The real program against a few lines of server.
const CLI: &str = "hetuflowctl/tests/cli.rs";
/// A row that inputs alone show.
const SENT: State = Done(&[Cases]);
/// A manifest that is also read without a server.
const READ: State = Done(&[Cases, Unit(APPLY, "rows_of_bad_input")]);
/// Words that are also typed without a server.
const TYPED: State = Done(&[Cases, Unit(CLI, "words_that_make_no_sense")]);

/// §10.3 to §10.6
pub const ROWS: &[Row] = &[
  row(
    "B059",
    "bad token, Basic: 401; an Origin: 403; another sub-protocol: 400; version 7: 426",
    Done(&[Story("b059_who_may_upgrade")]),
  ),
  row(
    "B060",
    "something else first: 4000; nothing for 10 s: 4008",
    Done(&[Cases, Story("b060_nothing_is_said")]),
  ),
  row(
    "B061",
    "another agent's token: 4003; the same id again: the older link gets 4010",
    Done(&[Story("b061_one_token_one_agent_one_connection")]),
  ),
  row("B062", "protocol 9: 4026 with what is spoken", SENT),
  row(
    "B063",
    "1 MiB + 1, a declared TiB, 1 MiB of pieces: 1009, before the registration, too",
    SENT,
  ),
  row(
    "B064",
    "bad UTF-8: 1007; reserved opcode and bits, unmasked, lone continuation: 1002; noise: refused",
    SENT,
  ),
  row("B065", "unknown kind, no JSON: an answer, and the connection lives", SENT),
  row(
    "B066",
    "a gap, 2^64-1: 4002 with both numbers; back, zero, twice: dropped; none: bad_request",
    Done(&[Cases, Story("b066_reports_are_numbered")]),
  ),
  row(
    "B067",
    "acks",
    NotYet("agents acknowledge nothing in this protocol; a stray ack is passed over"),
  ),
  row(
    "B068",
    "reports and fences of ended, foreign and unknown attempts: no effect, answered, counted",
    Done(&[
      Story("b068_reports_that_are_not_ones_own"),
      Unit("hetuflow-server/src/gateway/refused_reports.rs", "the_log_hears_of_a_flood_once"),
    ]),
  ),
  row("B069", "credits -1, 2^32: bad_request; 0: none", SENT),
  row(
    "B070",
    "stream 7, wrong length, garbage: bad_request; for an ended or unknown attempt: dropped",
    Done(&[Cases, Story("b068_reports_that_are_not_ones_own")]),
  ),
  row(
    "B071",
    "1970, 9999, NaN: no effect on liveness; offset -9e15: told once, not kept",
    Done(&[Cases, Story("b071_a_clock_beyond_belief_is_told_and_not_kept")]),
  ),
  row(
    "B072",
    "junk: 4029 after 100 in a row; 20,000 pings harm nobody",
    NotYet("no limit on frames per second is built; the story floods all the same"),
  ),
  row("B073", "close without status, with 0, half a frame and a reset: the agent is gone", SENT),
  row(
    "B074",
    "escapes, NUL, 1 MB, line ends in names and labels, long words: 4002 with the field",
    SENT,
  ),
  row(
    "B075",
    "what a server may send an agent",
    Done(&[
      Unit("hetuflow-agent/tests/against_fake_server.rs", "nothing_a_server_sends_ends_the_agent"),
      Unit(
        "hetuflow-agent/tests/against_fake_server.rs",
        "orders_are_followed_once_and_for_the_right_fence",
      ),
    ]),
  ),
  row("B076", "nothing, jbo, unknown flag, no value: 2", TYPED),
  row("B077", "foo, ftp, no host, port 70000, a password, which is not shown", TYPED),
  row(
    "B078",
    "nobody there: 7, one line with the address; a proxy's page is not shown; TLS to us: 400",
    Done(&[Cases, Unit(CLI, "no_server")]),
  ),
  row(
    "B079",
    "missing, empty, binary, wrong: 4; 0644: a warning with chmod",
    Done(&[Cases, Unit(CLI, "tokens")]),
  ),
  row("B080", "yamll, -1, 5x, runing: 2 with what is possible", TYPED),
  row(
    "B081",
    "missing: 3; empty folder, empty input, 10 GB: 8",
    Done(&[Cases, Unit(CLI, "manifests_that_are_none")]),
  ),
  row(
    "B082",
    "@/etc/passwd is a word",
    Done(&[Cases, Story("words_that_make_no_sense"), Story("attempts_that_are_over")]),
  ),
  row(
    "B083",
    "closed pipe, closed and full stdout, TERM, NO_COLOR, 1×1; the TUI comes later",
    Done(&[
      Cases,
      Unit(CLI, "a_closed_pipe_is_quiet"),
      Unit("hetuflowctl/src/output/tests.rs", "a_closed_pipe_is_no_error_and_a_full_disk_is"),
    ]),
  ),
  row("B084", "the TUI", NotYet("the TUI is not built")),
  row(
    "B085",
    "logs that were purged",
    NotYet("logs are not purged yet; an unknown attempt exits with 3"),
  ),
  row("B086", "bytes that are no text: 2; as a file's name: 3", SENT),
  row("B087", "delete without a yes: 2", TYPED),
  row("B088", "tabs, open quote, one document of two broken: all or nothing", READ),
  row("B089", "laughs, 10,000 levels, 1,000 anchors", READ),
  row("B090", "no, on, 0o17, 1_000, 12:30:45, ~: quote it", READ),
  row("B091", "keys twice, <<, tags: named", READ),
  row(
    "B092",
    "empty, comments: nothing to apply; Latin-1: its line; CRLF and BOM are accepted",
    Done(&[Cases, Unit(APPLY, "a_good_manifest_keeps_text_as_it_stands")]),
  ),
  row("B093", "kind Jbo, apiVersion missing and newer", READ),
  row("B094", "stars without quotes: quote the cron expression", READ),
  row("B095", "two jobs of one name: both places", READ),
  row("B096", "FIFO, link to it, /dev/zero: no plain file", SENT),
  row(
    "B097",
    "no file, a folder, Latin-1: 78 with its path; no config at all: defaults",
    Done(&[
      Story("b097_files_that_cannot_be_read"),
      Unit("hetuflow-agent/src/config/read.rs", "defaults_need_no_file"),
    ]),
  ),
  row(
    "B098",
    "syntax, unknown key, wrong type, table twice: 78 with line and column",
    Done(&[
      Cases,
      Unit("hetuflow-core/src/types/config_text.rs", "broken_toml_says_where"),
      Unit("hetuflow-agent/src/config/read.rs", "every_problem_is_told_at_once"),
    ]),
  ),
  row(
    "B099",
    "H > U/3, pool 0, retention 0, A > plan_ahead: 78 with both sides",
    Done(&[
      Cases,
      Unit("hetuflow-server/src/config/sections.rs", "inequalities_are_printed_with_both_sides"),
    ]),
  ),
  row(
    "B100",
    "empty, mysql, no host, unknown host, refused, database and role missing, no rights, read-only",
    Done(&[Cases, Story("b100_databases_that_cannot_be_used")]),
  ),
  row(
    "B101",
    "no folder, :memory:, no database, /proc, another server's, a newer schema: 78",
    Done(&[Cases, Story("b101_b102_what_another_server_has")]),
  ),
  row(
    "B102",
    "abc, 70000, an unknown variable: 78; not our address, taken: 69",
    Done(&[Cases, Story("b101_b102_what_another_server_has")]),
  ),
  row("B103", "beyond loopback: a warning (DESIGN.md §11); with require_tls: 78", SENT),
  row("B104", "keys and certificates", NotYet("the server has no TLS of its own yet")),
  row(
    "B105",
    "a state folder that cannot be made, or that another agent uses: 78",
    Done(&[Cases, Story("b105_a_folder_that_another_agent_uses")]),
  ),
  row(
    "B106",
    "TZ=garbage, LC_ALL, LANG, TMPDIR, HOME: no difference",
    Done(&[Story("b106_surroundings_that_make_no_difference")]),
  ),
  row(
    "B107",
    "no cgroup can be made: it starts, says so, and searches for processes; `exclusive` is refused",
    Done(&[
      Unit(
        "hetuflow-agent/src/executor/confine_tests.rs",
        "a_payload_that_escapes_is_dead_after_a_stop",
      ),
      Unit(
        "hetuflow-agent/src/executor/confine_tests.rs",
        "exclusive_attempts_need_what_holds_a_tree_together",
      ),
      Unit("hetuflow-agent/src/process/cgroups.rs", "nothing_is_taken_where_nothing_can_be_made"),
    ]),
  ),
  row(
    "B108",
    "20 open files: 78 with the number that it takes",
    Done(&[Story("b108_few_open_files")]),
  ),
  row(
    "B109",
    "a clock of 1970 or 2106",
    NotYet("the harness cannot set a clock for one process yet"),
  ),
  row(
    "B110",
    "SIGHUP with a broken file: the old settings stay, and the log says so",
    Done(&[Story("b110_a_hangup_with_a_broken_file")]),
  ),
];
