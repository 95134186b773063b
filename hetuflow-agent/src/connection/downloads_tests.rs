use hetuflow_core::{ContentHasher, TaskId};

use super::*;

const PIECE: usize = FILE_PIECE_BYTES;

struct Bench {
  dir: tempfile::TempDir,
  downloads: Downloads,
  transfer: Uuid,
  now: Instant,
}

fn hash_of(bytes: &[u8]) -> ContentHash {
  let mut hasher = ContentHasher::default();
  hasher.add(bytes);
  hasher.finish()
}

fn wanted(bytes: &[u8]) -> WantedFile {
  WantedFile {
    task_id: TaskId::generate(),
    instance_id: TaskInstanceId::generate(),
    fence: 1,
    content_hash: hash_of(bytes),
    file_size: bytes.len() as u64,
  }
}

impl Bench {
  fn new() -> Self {
    let dir = tempfile::tempdir().expect("dir");
    let downloads = Downloads::new(FileCache::new(dir.path().to_owned(), 1 << 30));
    Self { dir, downloads, transfer: Uuid::now_v7(), now: Instant::now() }
  }

  /// Another agent process finds the same folder.
  fn again(&mut self) {
    self.downloads = Downloads::new(FileCache::new(self.dir.path().to_owned(), 1 << 30));
  }

  fn question(&mut self) -> Option<FileDownload> {
    self.downloads.question(self.now)
  }

  fn status(&mut self, question: &FileDownload, state: FileTransferState, bytes: u64) {
    let status = FileTransferStatus {
      transfer_id: Some(self.transfer),
      instance_id: question.instance_id,
      content_hash: question.content_hash,
      file_size: bytes,
      bytes_transferred: question.offset,
      status: state,
      error_message: Some("why".to_owned()),
    };
    self.downloads.hear(&status, self.now);
  }

  /// Answers a question from these bytes; returns how many pieces went.
  fn answer(&mut self, question: &FileDownload, bytes: &[u8]) -> usize {
    self.status(question, FileTransferState::Stored, bytes.len() as u64);
    let from = usize::try_from(question.offset).expect("small");
    let pieces = bytes[from..].chunks(PIECE).take(question.pieces as usize);
    let mut sent = 0;
    for (index, raw) in pieces.enumerate() {
      let offset = question.offset + (index * PIECE) as u64;
      self.downloads.take(&FileFrame::new(self.transfer, offset, raw), self.now);
      sent += 1;
    }
    sent
  }

  fn outcomes(&mut self) -> Vec<Result<(), &'static str>> {
    let told = self.downloads.take_told();
    told.into_iter().map(|one| one.outcome.map_err(|failure| failure.reason)).collect()
  }
}

fn noise(len: usize) -> Vec<u8> {
  (0..len).map(|at| (at * at / 7 + at) as u8).collect()
}

#[test]
fn a_file_comes_in_questions_and_goes_on_where_it_was() {
  let (mut bench, bytes) = (Bench::new(), noise(10 * PIECE + 17));
  let file = wanted(&bytes);
  bench.downloads.want(file.clone(), bench.now);
  let first = bench.question().expect("a question");
  assert_eq!((first.offset, first.pieces), (0, PIECES_FIRST));
  assert!(bench.question().is_none(), "one at a time");
  assert_eq!(bench.answer(&first, &bytes), 4);
  bench.again();
  bench.downloads.want(file.clone(), bench.now);
  let second = bench.question().expect("a question");
  assert_eq!(second.offset, 4 * PIECE as u64, "not from the beginning");
  bench.answer(&second, &bytes);
  let third = bench.question().expect("a question");
  assert_eq!((third.offset, third.pieces), (8 * PIECE as u64, 8), "a quick link takes more");
  bench.answer(&third, &bytes);
  assert_eq!(bench.outcomes(), [Ok(())]);
  assert_eq!(
    std::fs::read(bench.dir.path().join(file.content_hash.to_string())).expect("there"),
    bytes
  );
  // Whoever wants it next has it at once.
  bench.downloads.want(wanted(&bytes), bench.now);
  assert!(bench.question().is_none());
  assert_eq!(bench.outcomes(), [Ok(())]);
}

#[test]
fn many_wait_for_one_and_an_empty_file_needs_nobody() {
  let (mut bench, bytes) = (Bench::new(), noise(100));
  for _ in 0..10 {
    bench.downloads.want(wanted(&bytes), bench.now);
  }
  let question = bench.question().expect("a question");
  assert_eq!(bench.answer(&question, &bytes), 1);
  assert_eq!(bench.outcomes(), [Ok(()); 10]);
  bench.downloads.want(wanted(b""), bench.now);
  assert!(bench.question().is_none());
  assert_eq!(bench.outcomes(), [Ok(())]);
}

#[test]
fn other_bytes_are_fetched_anew_and_then_refused() {
  let (mut bench, bytes) = (Bench::new(), noise(PIECE + 1));
  let mut wrong = bytes.clone();
  wrong[PIECE] ^= 1;
  bench.downloads.want(wanted(&bytes), bench.now);
  for _ in 0..ROUNDS_MAX {
    assert!(bench.outcomes().is_empty());
    let question = bench.question().expect("a question");
    assert_eq!(question.offset, 0);
    bench.answer(&question, &wrong);
  }
  assert_eq!(bench.outcomes(), [Err("input_differs")]);
  assert_eq!(std::fs::read_dir(bench.dir.path()).expect("there").count(), 0);
}

#[test]
fn what_a_server_says_is_followed() {
  use FileTransferState as S;
  let (mut bench, bytes) = (Bench::new(), noise(9));
  bench.downloads.want(wanted(&bytes), bench.now);
  let question = bench.question().expect("a question");
  bench.status(&question, S::Unknown, 0);
  assert!(bench.question().is_none(), "it waits");
  bench.now = bench.downloads.next_wake().expect("a time");
  let question = bench.question().expect("a question");
  bench.status(&question, S::Lost, 0);
  assert_eq!(bench.outcomes(), [Err("input_missing")]);
  // Refused is the attempt, not the file.
  bench.downloads.want(wanted(&bytes), bench.now);
  bench.downloads.want(wanted(&bytes), bench.now);
  let question = bench.question().expect("a question");
  bench.status(&question, S::Refused, 0);
  assert_eq!(bench.outcomes(), [Err("input_failed")]);
  let question = bench.question().expect("the other one asks");
  bench.status(&question, S::Stored, 10);
  assert_eq!(bench.outcomes(), [Err("input_differs")]);
  assert!(bench.question().is_none() && bench.downloads.next_wake().is_none());
}

#[test]
fn a_lost_answer_is_asked_for_again_and_a_broken_piece_is_none() {
  let (mut bench, bytes) = (Bench::new(), noise(PIECE));
  let file = wanted(&bytes);
  bench.downloads.want(file.clone(), bench.now);
  assert!(bench.question().is_some());
  bench.now += ANSWER_LIMIT;
  let question = bench.question().expect("again");
  bench.status(&question, FileTransferState::Stored, bytes.len() as u64);
  // Shorter than it can be.
  bench.downloads.take(&FileFrame::new(bench.transfer, 0, b"short"), bench.now);
  let question = bench.question().expect("from the beginning");
  bench.downloads.let_go(file.instance_id);
  bench.answer(&question, &bytes);
  assert!(bench.outcomes().is_empty(), "nobody wants it any more");
  assert_eq!(std::fs::read_dir(bench.dir.path()).expect("there").count(), 0);
}

#[test]
fn files_take_turns() {
  let (mut bench, large, small) = (Bench::new(), noise(40 * PIECE), noise(5));
  bench.downloads.want(wanted(&large), bench.now);
  bench.downloads.want(wanted(&small), bench.now);
  let question = bench.question().expect("a question");
  bench.answer(&question, &large);
  let question = bench.question().expect("the other one's");
  assert_eq!(question.content_hash, hash_of(&small));
  bench.answer(&question, &small);
  assert_eq!(bench.outcomes(), [Ok(())]);
  assert_eq!(bench.question().expect("goes on").offset, 4 * PIECE as u64);
}
