use std::sync::Arc;

use hetuflow_core::{
  InstanceHead, JobId, JobSpec, NamespaceId, ScheduledTask, TaskConfig, TaskHead, TaskId,
  TaskInstanceStatus, TriggerSource, Ts,
};

use super::super::{Cause, DefaultLimits, Exit, LogEnd, Said};
use super::*;

const BOOT: &str = "boot-1";

/// An attempt of a job that says nothing but its command.
pub fn start() -> Start {
  let task = TaskHead {
    id: TaskId::generate(),
    spec: 0,
    scheduled_at: Ts::from_micros(7),
    eligible_at: None,
    trigger_source: TriggerSource::Manual,
    timezone: None,
    prev_success_at: None,
    parameters: None,
    environment: None,
    config: None,
  };
  let task_instance = InstanceHead { id: TaskInstanceId::generate() };
  let spec = JobSpec {
    job_id: JobId::generate(),
    job_version: 1,
    job_name: "j".to_owned(),
    namespace_id: NamespaceId::default(),
    config: TaskConfig { command: Some("true".to_owned()), ..TaskConfig::default() },
    environment: std::collections::BTreeMap::new(),
  };
  Start {
    task: ScheduledTask {
      task_instance,
      task,
      fence: 3,
      attempt: 1,
      deadline_at: None,
      secrets: std::collections::BTreeMap::new(),
      inputs: Vec::new(),
    },
    spec: Arc::new(spec),
    limits: DefaultLimits::default(),
    executor: 0,
  }
}

/// In memory where there is such a folder: these tests open a journal thousands of times.
fn quick_dir() -> tempfile::TempDir {
  tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("dir")
}

fn end(identity: &Identity, code: i32) -> Ended {
  Ended {
    instance_id: identity.instance_id,
    cause: Cause::Itself,
    started: None,
    exit: Some(Exit::Code(code)),
    at_us: 9,
    output: None,
    log_bytes: 0,
    log: LogEnd::default(),
    said: Said::default(),
    metrics: None,
  }
}

/// Kept, started, ended and settled attempts, one of each.
fn fill(journal: &Journal) -> [Identity; 5] {
  let starts = [start(), start(), start(), start(), start()];
  let all: Vec<Identity> = starts.iter().map(Identity::of).collect();
  let ids: [Identity; 5] = all.try_into().expect("five");
  journal.keep(&starts[0]);
  for identity in &ids[1..] {
    journal.starting(*identity, true).expect("durable");
  }
  for identity in &ids[2..] {
    journal.started(identity.instance_id, 4000, 55, 8);
  }
  let why = StopWhy { status: TaskInstanceStatus::Skipped, reason: "skipped(x)".to_owned() };
  journal.stopping(ids[2].instance_id, &why);
  for identity in &ids[3..] {
    journal.exited(&end(identity, 42));
  }
  journal.settled([ids[4].instance_id]);
  ids
}

fn stages(recovered: &Recovered) -> Vec<&'static str> {
  let name = |entry: &Entry| match entry.stage {
    Stage::Waiting(_) => "waiting",
    Stage::Starting => "starting",
    Stage::Started { .. } => "started",
    Stage::Exited { .. } => "exited",
  };
  recovered.entries.iter().map(name).collect()
}

#[test]
fn all_that_is_not_over_is_remembered() {
  let dir = tempfile::tempdir().expect("dir");
  let (journal, new) = Journal::open(dir.path(), BOOT, 100).expect("made");
  assert!(new.entries.is_empty());
  let ids = fill(&journal);
  let id = journal.id().to_owned();
  drop(journal);
  // Read twice: the second time from the file that the first has written anew.
  for _ in 0..2 {
    let (journal, old) = Journal::open(dir.path(), BOOT, 999).expect("read");
    assert_eq!((journal.id(), journal.shift_us(), old.torn_bytes), (id.as_str(), 100, 0));
    assert_eq!(stages(&old), ["waiting", "starting", "started", "exited"]);
    assert_eq!(old.entries[2].stop.as_ref().map(|why| why.reason.as_str()), Some("skipped(x)"));
    let Stage::Exited { ended, started } = &old.entries[3].stage else { panic!("exited") };
    assert_eq!((ended.as_ref(), *started), (&end(&ids[3], 42), Some((4000, 8))));
    let started = ids.map(|identity| journal.was_started(identity.instance_id));
    assert_eq!(started, [false, true, true, true, true], "also what is over");
  }
  let (journal, old) = Journal::open(dir.path(), "boot-2", 999).expect("read");
  assert_eq!((journal.shift_us(), old.boot_id.as_str()), (999, BOOT), "a new boot, a new clock");
}

#[test]
fn a_journal_that_is_cut_anywhere_keeps_what_was_written_before() {
  let dir = quick_dir();
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let ids = fill(&journal);
  drop(journal);
  let path = dir.path().join("journal");
  let whole = std::fs::read(&path).expect("read");
  let length = whole.iter().rposition(|byte| *byte != 0).expect("written") + 1;
  let mut most = 0;
  for cut in 0..=length {
    // Cut off, or with what a crash leaves behind: zeros, or the bytes of something else.
    let tails = [&[][..], &[0; 100], &[0xa5; 100]];
    for tail in &tails[..if cut % 8 == 0 { 3 } else { 1 }] {
      let mut bytes = whole[..cut].to_vec();
      bytes.extend_from_slice(tail);
      std::fs::write(&path, &bytes).expect("written");
      let (journal, old) = Journal::open(dir.path(), BOOT, 0).expect("read");
      let started = ids.iter().filter(|id| journal.was_started(id.instance_id)).count();
      assert!(old.entries.len() <= 5 && started >= most, "{started} of {most} at {cut}");
      most = started;
    }
  }
  assert_eq!(most, 4);
  std::fs::write(&path, &whole[..length]).expect("written");
  let (_, old) = Journal::open(dir.path(), BOOT, 0).expect("read");
  assert_eq!(stages(&old), ["waiting", "starting", "started", "exited"]);
}

#[test]
fn each_record_that_was_durable_is_there_after_a_cut_behind_it() {
  let dir = quick_dir();
  let path = dir.path().join("journal");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let mut marks = Vec::new();
  for _ in 0..20 {
    let identity = Identity::of(&start());
    journal.starting(identity, true).expect("durable");
    marks.push((journal.state().file.end(), identity.instance_id));
  }
  drop(journal);
  let whole = std::fs::read(&path).expect("read");
  for cut in 0..=usize::try_from(marks[19].0).expect("small") {
    std::fs::write(&path, &whole[..cut]).expect("written");
    let (journal, old) = Journal::open(dir.path(), BOOT, 0).expect("read");
    let due = marks.iter().filter(|(end, _)| *end <= cut as u64);
    assert_eq!(old.entries.len(), due.clone().count(), "cut at {cut}");
    assert!(due.clone().all(|(_, id)| journal.was_started(*id)));
  }
}

#[test]
fn its_size_is_bounded_and_nothing_alive_is_dropped() {
  let dir = tempfile::tempdir().expect("dir");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let ids = fill(&journal);
  // With somebody who tidies up, then with nobody.
  for (tidied, most) in [(true, COMPACT_BYTES), (false, 2 * COMPACT_BYTES)] {
    let mut largest = 0;
    let before = journal.state().file.generation();
    for _ in 0..20_000 {
      let identity = Identity::of(&start());
      journal.note(Record::Starting { identity });
      journal.exited(&end(&identity, 0));
      journal.settled([identity.instance_id]);
      if tidied {
        journal.tidy();
      }
      largest = largest.max(journal.state().file.end());
    }
    let seen = SEEN_MAX as u64 * 40;
    assert!(largest < most + seen + (1 << 20), "{largest}");
    assert!(journal.state().file.generation() > before, "it was written anew");
  }
  drop(journal);
  let (journal, old) = Journal::open(dir.path(), BOOT, 0).expect("read");
  assert_eq!(stages(&old), ["waiting", "starting", "started", "exited"]);
  assert!(journal.was_started(ids[1].instance_id));
}

/// What somebody finds who opens the journal as it is on the disk now.
fn found(dir: &tempfile::TempDir) -> (Journal, Recovered) {
  let other = quick_dir();
  std::fs::copy(dir.path().join("journal"), other.path().join("journal")).expect("copied");
  Journal::open(other.path(), BOOT, 0).expect("read")
}

#[test]
fn while_it_is_written_anew_nothing_is_lost_and_nobody_waits() {
  let dir = quick_dir();
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let mut known = fill(&journal)[..4].to_vec();
  assert!(!journal.is_due() && journal.begin_renewal().is_none(), "it is small");
  journal.state().compact_at = 0;
  let mut note = |step: &str| {
    let identity = Identity::of(&start());
    journal.starting(identity, false).expect("written");
    journal.started(identity.instance_id, 4001, 56, 9);
    known.push(identity);
    // Here the process may be killed.
    let (reopened, old) = found(&dir);
    let ids = old.entries.iter().map(|entry| entry.identity.instance_id);
    assert!(ids.eq(known.iter().map(|identity| identity.instance_id)), "{step}");
    assert!(reopened.was_started(identity.instance_id), "{step}");
  };
  note("before");
  let renewal = journal.begin_renewal().expect("it is due");
  assert!(!journal.is_due() && journal.begin_renewal().is_none(), "one at a time");
  note("begun");
  let flushes = || {
    let state = journal.state();
    (state.flushing, state.durable, state.written)
  };
  let (_, durable, _) = flushes();
  let next = journal.make_next(renewal).expect("made").expect("wanted");
  note("made");
  let (flushing, still, _) = flushes();
  assert!(flushing && still == durable, "nobody else flushes");
  journal.go_over(next).expect("moved");
  let (flushing, durable, written) = flushes();
  assert!(!flushing && durable < written, "what came last is not flushed in the new file");
  note("moved");
  journal.starting(Identity::of(&start()), true).expect("durable");
  let (_, durable, written) = flushes();
  assert_eq!(durable, written, "the new file is flushed");
  assert_eq!(journal.state().file.generation(), 2);
}

#[test]
fn a_new_file_that_another_one_was_faster_than_is_not_wanted() {
  let dir = quick_dir();
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let ids = fill(&journal);
  journal.state().compact_at = 0;
  let renewal = journal.begin_renewal().expect("it is due");
  journal.state().broken = Some("a flush failed".to_owned());
  let after = Identity::of(&start());
  journal.starting(after, true).expect("written anew at once");
  assert!(journal.make_next(renewal).expect("made").is_none());
  let (reopened, _) = found(&dir);
  for identity in ids[1..].iter().chain([&after]) {
    assert!(reopened.was_started(identity.instance_id));
  }
}

#[test]
fn many_start_while_it_is_written_anew_again_and_again() {
  let dir = tempfile::tempdir().expect("dir");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let (journal, running) = (&journal, &std::sync::atomic::AtomicBool::new(true));
  let mut kept = std::thread::scope(|scope| {
    let starters: Vec<_> = (0..8)
      .map(|_| {
        scope.spawn(move || {
          let ids = (0..50).map(|round| {
            let identity = Identity::of(&start());
            journal.starting(identity, true).expect("durable");
            if round % 2 == 0 {
              journal.settled([identity.instance_id]);
              return None;
            }
            Some(identity.instance_id)
          });
          ids.flatten().collect::<Vec<_>>()
        })
      })
      .collect();
    let tidier = scope.spawn(move || {
      while running.load(std::sync::atomic::Ordering::Relaxed) {
        journal.state().compact_at = 0;
        journal.tidy();
      }
    });
    let kept: Vec<_> = starters.into_iter().flat_map(|one| one.join().expect("no panic")).collect();
    running.store(false, std::sync::atomic::Ordering::Relaxed);
    tidier.join().expect("no panic");
    kept
  });
  assert!(journal.state().file.generation() > 2);
  assert!(!dir.path().join("journal.next").exists());
  let (_, old) = found(&dir);
  kept.sort();
  let ids: Vec<_> = old.entries.iter().map(|entry| entry.identity.instance_id).collect();
  assert_eq!(ids, kept);
}

#[test]
fn a_new_file_that_cannot_be_made_leaves_the_old_one() {
  let dir = quick_dir();
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  std::fs::create_dir(dir.path().join("journal.next")).expect("in the way");
  journal.state().compact_at = 0;
  journal.tidy();
  assert!(!journal.is_due(), "not tried again at once");
  let identity = Identity::of(&start());
  journal.starting(identity, true).expect("durable");
  assert_eq!(journal.state().file.generation(), 1);
  assert!(found(&dir).0.was_started(identity.instance_id));
}

#[test]
fn the_last_contact_is_remembered() {
  let dir = quick_dir();
  let (journal, old) = Journal::open(dir.path(), BOOT, 0).expect("made");
  assert_eq!(old.contact_us, None);
  [5, 9, 7].into_iter().for_each(|at_us| journal.contact(at_us));
  let end = journal.state().file.end();
  journal.contact(9);
  assert_eq!(journal.state().file.end(), end, "what is known is not written again");
  drop(journal);
  for _ in 0..2 {
    let (_, old) = Journal::open(dir.path(), BOOT, 0).expect("read");
    assert_eq!(old.contact_us, Some(9), "also after it was written anew");
  }
}

#[test]
fn many_that_wait_share_a_flush() {
  let dir = tempfile::tempdir().expect("dir");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let journal = &journal;
  std::thread::scope(|scope| {
    for _ in 0..16 {
      scope.spawn(move || {
        for _ in 0..50 {
          journal.starting(Identity::of(&start()), true).expect("durable");
        }
      });
    }
  });
  let state = journal.state();
  assert_eq!((state.entries.len(), state.flushing), (800, false));
  assert!(state.durable >= state.written - 1000);
}

#[test]
fn without_room_nothing_is_started() {
  // A device that is always full stands in for the disk.
  let dir = tempfile::tempdir().expect("dir");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  journal.state().file = JournalFile::full();
  let identity = Identity::of(&start());
  let error = journal.starting(identity, true).expect_err("no room");
  assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()));
}

#[test]
fn a_flush_that_failed_is_not_asked_again() {
  let dir = tempfile::tempdir().expect("dir");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let before = Identity::of(&start());
  journal.starting(before, true).expect("flushed");
  let generation = journal.state().file.generation();
  journal.state().file = JournalFile::lost(generation);
  journal.state().durable = 0;
  let lost = Identity::of(&start());
  let error = journal.starting(lost, true).expect_err("not flushed");
  assert!(error.to_string().contains("cannot be flushed"), "{error}");
  // A folder that takes no file: it stays as it is, whatever the next flush would say.
  let away = dir.path().with_extension("away");
  std::fs::rename(dir.path(), &away).expect("moved");
  let error = journal.starting(Identity::of(&start()), true).expect_err("nowhere");
  assert!(error.to_string().contains("nor written anew"), "{error}");
  std::fs::rename(&away, dir.path()).expect("moved");
  let error = journal.starting(Identity::of(&start()), true).expect_err("too soon");
  assert!(error.to_string().contains("cannot be flushed"), "{error}");
  journal.state().mended_at = None;
  let after = Identity::of(&start());
  journal.starting(after, true).expect("written anew");
  drop(journal);
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("opened");
  // The one whose start could not be written down was not started; that it is known does no harm.
  for identity in [before, lost, after] {
    assert!(journal.was_started(identity.instance_id));
  }
}

#[test]
fn values_of_secrets_are_not_written() {
  let dir = quick_dir();
  let mut one = start();
  let mut config = one.spec.config.clone();
  config.secrets = vec!["db".to_owned()];
  one.task.task.config = Some(config);
  let value = hetuflow_core::SecretValue::new(b"canary".to_vec());
  one.task.secrets.insert("db".to_owned(), value);
  assert!(!one.lacks_secrets());
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("opened");
  journal.keep(&one);
  drop(journal);
  let (_, found) = Journal::open(dir.path(), BOOT, 0).expect("opened");
  for entry in std::fs::read_dir(dir.path()).expect("read") {
    let bytes = std::fs::read(entry.expect("entry").path()).expect("read");
    for form in [&b"canary"[..], b"Y2FuYXJ5"] {
      assert!(!bytes.windows(form.len()).any(|part| part == form));
    }
  }
  let Stage::Waiting(start) = &found.entries[0].stage else { panic!("it waits") };
  assert!(start.lacks_secrets());
}

#[tokio::test]
async fn a_folder_is_taken_while_anybody_may_write_to_its_journal() {
  let dir = quick_dir();
  let place = crate::executor::Place::new(dir.path());
  let taken = place.take().expect("free");
  let (journal, _) = Journal::open(dir.path(), BOOT, 0).expect("made");
  let journal = Arc::new(journal.owning(taken.lock));
  let last = Arc::clone(&journal);
  drop((journal, taken.listener));
  place.take().expect_err("a thread may still write");
  drop(last);
  place.take().expect("free again");
}
