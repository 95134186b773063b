//! `help [COMMAND…|TOPIC]`.

use clap::{Args, CommandFactory};

use super::Cli;

/// Help on what.
#[derive(Debug, Clone, Args)]
pub struct HelpArgs {
  /// A command, or exit-codes, filters, formats, environment, time
  #[arg(value_name = "COMMAND|TOPIC")]
  pub words: Vec<String>,
}

/// The text, or `None` for words that name nothing.
pub fn help_text(args: &HelpArgs) -> Option<String> {
  let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
  match words.as_slice() {
    ["exit-codes"] => return Some(EXIT_CODES.to_owned()),
    ["filters"] => return Some(FILTERS.to_owned()),
    ["formats"] => return Some(FORMATS.to_owned()),
    ["environment"] => return Some(ENVIRONMENT.to_owned()),
    ["time"] => return Some(TIME.to_owned()),
    _ => {}
  }
  let mut command = Cli::command();
  command.build();
  let mut here = &mut command;
  for word in words {
    here = here.find_subcommand_mut(word)?;
  }
  Some(here.render_long_help().to_string())
}

const EXIT_CODES: &str = "\
Exit codes of hetuflowctl

    0  done; wait, run --wait: all succeeded
    1  anything not below: a bug, the disk, an unexpected answer
    2  usage: unknown flag, bad value, missing argument, or it would have to ask
    3  not found
    4  not logged in, token bad or expired
    5  not allowed, or stopped by --read-only or a read-only context
    6  conflict: the version moved, an id is ambiguous, it exists already
    7  cannot reach a server
    8  rejected as invalid: manifest, cron expression, parameter
    9  overloaded or rate limited, after retries
   10  differences found (apply --dry-run --exit-code, job diff)
   11  bulk: some items failed
   12  the awaited task ended, and not with success
   13  stream incomplete: events or log bytes are gone on the server, and --strict was given
  124  --timeout passed; the task goes on
  130  Ctrl-C
  143  SIGTERM

run --wait, wait for the end of one task, and logs -f --exit-status task hand back the task's own code:

  the task exited N                         N
  killed by signal S                        128 + S
  program not found / not executable        127 / 126
  hetuflowctl itself failed                 125
  --timeout of the client                   124
  the task's own time limit                 123
  agent lost and retries used up            122
  cancelled by somebody                     121

--exit-status simple gives 0 and 12 instead.
";

const FILTERS: &str = "\
Filters (-F), the same on every list, on verbs of many things, in watches and in the dashboard

  state=failed,lost     a field is one of these values
  job=etl-*             * stands for anything
  job~^etl              a regular expression finds it
  exit!=0  !state=lost  not; - in place of ! does the same
  prio>=5  run>30s      numbers and lengths of time
  age<10m  since=1h     by time
  label.tier=gold       a label
  \"two words\"  word    free text

A blank is \"and\", a comma \"or\" inside a field, a bar between blanks \"or\" between groups:
  -F 'state=failed job~^etl | state=lost'
-l tier=gold,zone!=b,owner is short for  label.tier=gold label.zone!=b label.owner=*

The server reads -F and points at what it does not understand. What ends a command is read here, in
the same form: --until of lists and events, --for of wait.
";

const FORMATS: &str = "\
Forms of the answer (-o)

  table   chosen columns; on a terminal fitted to its width
  wide    all columns, never cut
  tsv     raw values, tab-separated
  json    one document: {\"items\":[…],\"next\":…}, or one object
  jsonl   one object per line; with --watch one change per line
  yaml    as apply -f takes it, server fields under status
  name    job/etl-daily, task/7qk2m9xa: feeds xargs and -
  none    nothing; only the exit code
  jsonpath=EXPR     what the path finds in each object, one value per line: 'jsonpath=$.id';
                    a path that begins with $.items is about the whole document
  template=TPL      a Jinja template per object: 'template={{ name|pad(20) }} {{ status|state }}';
                    filters: ago, dur (seconds), bytes, state, pad(N), color('red'); \\n and \\t are read
  template-file=F   the same from a file

--columns a,b chooses columns, --columns help lists them; --sort -age,name orders a list;
--no-header leaves the header out. An error is one line of JSON on stderr with -o json and jsonl,
and stdout is empty or a whole document.
";

const ENVIRONMENT: &str = "\
Environment variables; a flag goes before its variable

  HETUFLOW_CONTEXT     context to use
  HETUFLOW_SERVER      server to talk to
  HETUFLOW_NAMESPACE   namespace to work in
  HETUFLOW_TOKEN_FILE  file that holds the token
  HETUFLOW_TOKEN       the token itself, for pipelines
  HETUFLOW_CONFIG      config file in place of ~/.config/hetuflow/ctl.toml
  HETUFLOW_OUTPUT      form of the answer, as -o
  HETUFLOW_READ_ONLY   refuse everything that changes the server
  HETUFLOW_NO_INPUT    never ask
  PAGER                what shows long text on a terminal, as less -FIRX; --no-pager is without
  VISUAL, EDITOR       what edits: job edit, config edit
  NO_COLOR, CLICOLOR_FORCE, TERM=dumb, COLUMNS

A file .hetuflow.toml in this folder or above may name context and namespace.
";

const TIME: &str = "\
Times and durations

  durations  90s  5m  1h30m  2d  250ms
  instants   2025-11-21T14:00:00Z  \"2025-11-21 14:00\"  14:00  today  @1763733600  -10m  +1h

Instants without an offset are in the zone of this machine; for schedule next in the zone of --tz.
Where only the past makes sense (--since, --until of logs), 10m is ten minutes ago.
--time relative|local|utc|rfc3339|unix says how tables show them; JSON is always RFC 3339.
";
