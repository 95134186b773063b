//! Every view in every form.

use futures_util::stream::{self, StreamExt as _};
use hetuflow_core::Stream;

use super::*;
use crate::command::sample;

async fn written(view: View, look: &Look) -> (String, Result<u8, Failure>) {
  let mut out = Vec::new();
  let exit = emit(view.into(), look, &mut out).await;
  (String::from_utf8(out).expect("text"), exit)
}

fn block<T>(work: impl Future<Output = T>) -> T {
  tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

const FORMS: [(Format, bool); 9] = [
  (Format::Table, true),
  (Format::Table, false),
  (Format::Wide, true),
  (Format::Tsv, false),
  (Format::Json, false),
  (Format::Jsonl, false),
  (Format::Yaml, false),
  (Format::Name, false),
  (Format::None, false),
];

fn every_form(view: impl Fn() -> View) -> String {
  let mut all = String::new();
  for (format, tty) in FORMS {
    let look = Look { quiet: true, ..Look::sample(format, tty) };
    let (text, exit) = block(written(view(), &look));
    assert_eq!(exit.expect("fine"), 0);
    all.push_str(&format!("===== {format:?}{}\n{text}", if tty { " on a terminal" } else { "" }));
  }
  all
}

#[test]
fn views_in_every_form() {
  insta::assert_snapshot!(
    "job",
    every_form(|| {
      let (job, schedule) = (sample::job(), sample::schedule());
      let manifest = Some(job_manifest(&job, &[schedule]));
      View::Things(hetuflow_core::JobEntity::COLUMNS, vec![Record { manifest, ..Record::of(&job) }])
    })
  );
  insta::assert_snapshot!("schedule", every_form(|| View::thing(&sample::schedule())));
  insta::assert_snapshot!(
    "task",
    every_form(|| View::List(Rows::ready(&[sample::task(), sample::task()])))
  );
  insta::assert_snapshot!("attempt", every_form(|| View::thing(&sample::attempt())));
  insta::assert_snapshot!("agent", every_form(|| View::thing(&sample::agent())));
  insta::assert_snapshot!(
    "text",
    every_form(|| View::text("some words", serde_json::json!({ "a": 1 })))
  );
  insta::assert_snapshot!(
    "nothing",
    every_form(|| View::List(Rows::ready::<hetuflow_core::JobEntity>(&[])))
  );
}

#[test]
fn a_list_that_breaks_leaves_no_half_document() {
  let rows = || {
    let page = Page { rows: vec![Record::of(&sample::job())], next: None };
    let broken = Box::new(Fault { exit: 7, ..Fault::default() });
    View::List(Rows {
      sort_here: false,
      columns: hetuflow_core::JobEntity::COLUMNS,
      pages: stream::iter([Ok(page), Err(broken)]).boxed(),
    })
  };
  let (json, exit) = block(written(rows(), &Look::sample(Format::Json, false)));
  assert_eq!((json.as_str(), exit.expect_err("gone").exit), ("", 7));
  let (names, _) = block(written(rows(), &Look::sample(Format::Name, false)));
  assert_eq!(names, "job/etl-daily\n");
}

fn pieces(raw: bool) -> View {
  let bytes =
    |stream, bytes: &[u8]| Ok(LogPiece::Bytes { stream, bytes: bytes.to_vec(), label: None });
  let pieces = [
    bytes(Stream::Stdout, b"out \xe8\xbf"),
    bytes(Stream::Stderr, b"err\x1b[2J\n"),
    bytes(Stream::Stdout, b"\x9b\0\xff\n"),
    Ok(LogPiece::Exit(42)),
  ];
  View::Logs {
    pieces: stream::iter(pieces).boxed(),
    style: LogStyle { raw, ..LogStyle::default() },
  }
}

#[test]
fn output_is_exact_off_a_terminal_and_harmless_on_one() {
  let exact: &[u8] = b"out \xe8\xbferr\x1b[2J\n\x9b\0\xff\n";
  for (tty, raw) in [(false, false), (false, true), (true, true)] {
    let mut out = Vec::new();
    let exit =
      block(emit(pieces(raw).into(), &Look::sample(Format::Table, tty), &mut out)).expect("fine");
    assert_eq!((out.as_slice(), exit), (exact, 42));
  }
  let (text, _) = block(written(pieces(false), &Look::sample(Format::Table, true)));
  assert_eq!(text, "out err\\x1b[2J\n进\\x00\\xff\n");
}

#[test]
fn labels_stand_before_whole_lines() {
  let piece = |label: &str, text: &str| {
    Ok(LogPiece::Bytes { stream: Stream::Stdout, bytes: text.into(), label: Some(label.into()) })
  };
  let pieces = [piece("a", "one\ntw"), piece("b", "x\n"), piece("a", "o\nend")];
  let view = View::Logs { pieces: stream::iter(pieces).boxed(), style: LogStyle::default() };
  let (text, _) = block(written(view, &Look::sample(Format::Table, false)));
  assert_eq!(text, "a │ one\nb │ x\na │ two\na │ end\n");
}

struct Closed(std::io::ErrorKind);

impl std::io::Write for Closed {
  fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
    Err(self.0.into())
  }
  fn flush(&mut self) -> std::io::Result<()> {
    Ok(())
  }
}

/// RELIABILITY B083.
#[test]
fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
  let look = Look::sample(Format::Json, false);
  let job = || View::thing(&sample::job()).into();
  let exit = block(emit(job(), &look, &mut Closed(std::io::ErrorKind::BrokenPipe)));
  assert_eq!(exit.expect("quiet"), 0);
  let error =
    block(emit(job(), &look, &mut Closed(std::io::ErrorKind::StorageFull))).expect_err("full");
  assert_eq!(error.exit, 1);
}
