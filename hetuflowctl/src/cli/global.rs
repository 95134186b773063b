//! The flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use url::Url;

use super::value::{read_duration, read_server};

/// Flags of every command; they may stand anywhere.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global flags")]
pub struct Global {
  /// Namespace to work in
  #[arg(
    short,
    long,
    global = true,
    env = "HETUFLOW_NAMESPACE",
    hide_env = true,
    value_name = "NS"
  )]
  pub namespace: Option<String>,
  /// Every namespace, in lists
  #[arg(short = 'A', long, global = true)]
  pub all_namespaces: bool,
  /// Context to use
  #[arg(short, long, global = true, env = "HETUFLOW_CONTEXT", hide_env = true, value_name = "CTX")]
  pub context: Option<String>,
  /// Server to talk to
  #[arg(short, long, global = true, env = "HETUFLOW_SERVER", hide_env = true, value_name = "URL", value_parser = read_server)]
  pub server: Option<Url>,
  /// File that holds the token
  #[arg(long, global = true, env = "HETUFLOW_TOKEN_FILE", hide_env = true, value_name = "F")]
  pub token_file: Option<PathBuf>,
  /// Form of the answer: table, wide, tsv, json, jsonl, yaml, name, none, jsonpath=EXPR, template=TPL, template-file=F
  #[arg(
    short,
    long,
    global = true,
    env = "HETUFLOW_OUTPUT",
    hide_env = true,
    value_parser = read_format,
    value_name = "FORM"
  )]
  pub output: Option<Format>,
  /// Columns of a table, as a,b,c; help lists them
  #[arg(long, global = true, value_delimiter = ',', value_name = "COLS")]
  pub columns: Option<Vec<String>>,
  /// Order of lists, as -age,name; - before a field turns it around
  #[arg(long, global = true, value_name = "FIELDS", allow_hyphen_values = true)]
  pub sort: Option<String>,
  /// Only what matches, as 'state=failed job~^etl age<10m'; see help filters
  #[arg(short = 'F', long, global = true, value_name = "EXPR", allow_hyphen_values = true)]
  pub filter: Option<String>,
  /// Only what has these labels, as tier=gold,zone!=b
  #[arg(short = 'l', long, global = true, value_name = "K=V,…")]
  pub selector: Option<String>,
  /// No header line on tables
  #[arg(long, global = true)]
  pub no_header: bool,
  /// Never show long text in $PAGER
  #[arg(long, global = true)]
  pub no_pager: bool,
  /// Nothing but data and errors
  #[arg(short, long, global = true)]
  pub quiet: bool,
  /// Name requests on stderr; -vv headers, -vvv bodies
  #[arg(short, long, global = true, action = clap::ArgAction::Count)]
  pub verbose: u8,
  /// Colour
  #[arg(
    long,
    global = true,
    value_enum,
    value_name = "WHEN",
    default_value_t,
    hide_default_value = true
  )]
  pub color: When,
  /// How instants are shown
  #[arg(long, global = true, value_enum, value_name = "HOW")]
  pub time: Option<TimeStyle>,
  /// Bound of the whole command, as 30s; then exit 124
  #[arg(long, global = true, value_name = "DUR", value_parser = read_duration)]
  pub timeout: Option<Duration>,
  /// Bound of one request
  #[arg(long, global = true, value_name = "DUR", value_parser = read_duration, default_value = "30s", hide_default_value = true)]
  pub request_timeout: Duration,
  /// Never ask
  #[arg(long, global = true, env = "HETUFLOW_NO_INPUT", hide_env = true)]
  pub no_input: bool,
  /// Answer yes
  #[arg(short, long, global = true)]
  pub yes: bool,
  /// Refuse everything that changes the server
  #[arg(
    long,
    global = true,
    env = "HETUFLOW_READ_ONLY",
    hide_env = true,
    value_name = "BOOL",
    value_parser = FalseyValueParser::new(),
    num_args = 0..=1,
    require_equals = true,
    default_missing_value = "true"
  )]
  pub read_only: Option<bool>,
  /// Name of the protected context that is to be changed
  #[arg(long, global = true, value_name = "CTX")]
  pub confirm: Option<String>,
  /// Config file in place of ~/.config/hetuflow/ctl.toml
  #[arg(long, global = true, env = "HETUFLOW_CONFIG", hide_env = true, value_name = "F")]
  pub config: Option<PathBuf>,
}

/// Form of the answer on stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
  /// Chosen columns
  Table,
  /// All columns, never cut
  Wide,
  /// Raw values, tab-separated
  Tsv,
  /// One document
  Json,
  /// One object per line
  Jsonl,
  /// As apply takes it
  Yaml,
  /// KIND/NAME, for xargs
  Name,
  /// Nothing
  None,
  /// Values that a JSONPath finds, one per line
  JsonPath(String),
  /// A template per object
  Template(String),
  /// A template per object, from a file
  TemplateFile(PathBuf),
}

const FORMS: [(&str, Format); 9] = [
  ("table", Format::Table),
  ("text", Format::Table),
  ("wide", Format::Wide),
  ("tsv", Format::Tsv),
  ("json", Format::Json),
  ("jsonl", Format::Jsonl),
  ("yaml", Format::Yaml),
  ("name", Format::Name),
  ("none", Format::None),
];

/// Reads a form of the answer.
///
/// # Errors
/// The sentence for the person who typed it.
pub fn read_format(text: &str) -> Result<Format, String> {
  if let Some((_, format)) = FORMS.iter().find(|(word, _)| *word == text) {
    return Ok(format.clone());
  }
  match text.split_once('=') {
    Some((_, "")) => Err("nothing follows the =".to_owned()),
    Some(("jsonpath", path)) => Ok(Format::JsonPath(path.to_owned())),
    Some(("template", template)) => Ok(Format::Template(template.to_owned())),
    Some(("template-file", file)) => Ok(Format::TemplateFile(PathBuf::from(file))),
    _ => {
      let near = hetuflow_core::config_text::nearest(text, FORMS.iter().map(|(word, _)| *word));
      let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
      Err(format!(
        "one of table, wide, tsv, json, jsonl, yaml, name, none, jsonpath=EXPR, template=TPL, template-file=F{near}"
      ))
    }
  }
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
  /// On a terminal
  #[default]
  Auto,
  /// Always
  Always,
  /// Never
  Never,
}

/// How instants are shown in tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeStyle {
  /// 5m ago
  Relative,
  /// In the zone of this machine
  Local,
  /// In UTC
  Utc,
  /// RFC 3339
  Rfc3339,
  /// Seconds since 1970
  Unix,
}
