//! What is taken, and what is not, however it is made.

use std::os::unix::fs::symlink;

use super::*;

/// Names with what is said of them.
type Pairs<T> = Vec<(String, T)>;

struct Stage {
  dir: tempfile::TempDir,
  places: Places,
}

const WHOLE: Limits = Limits { file: 1000, total: 2500 };

impl Stage {
  fn new(patterns: &[&str]) -> Self {
    let dir = tempfile::tempdir().expect("dir");
    let (own, work_dir) = (dir.path().join("own"), dir.path().join("work"));
    std::fs::create_dir(&own).expect("own");
    std::fs::create_dir(&work_dir).expect("work");
    let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
    let places = Places { own, work_dir, patterns, ours: Vec::new(), owner: None };
    Self { dir, places }
  }

  fn write(&self, path: &str, bytes: &[u8]) {
    let path = self.dir.path().join(path);
    std::fs::create_dir_all(path.parent().expect("inside")).expect("folders");
    std::fs::write(path, bytes).expect("written");
  }

  /// Names with sizes of what was taken, and with reasons of what was not.
  fn collect(&self) -> (Pairs<u64>, Pairs<String>) {
    let (task_id, instance_id) = (TaskId::generate(), TaskInstanceId::generate());
    let whose = Whose { task_id, instance_id, fence: 7 };
    let base = self.dir.path().join("kept");
    let notes = collect(&self.places, (&base, WHOLE), whose);
    let kept = base.join(instance_id.to_string());
    let owed: Vec<FileUpload> = match std::fs::read(kept.join(OWED)) {
      Ok(text) => serde_json::from_slice(&text).expect("a list"),
      Err(_) => Vec::new(),
    };
    for upload in &owed {
      let bytes = std::fs::read(kept.join(upload.content_hash.to_string())).expect("kept");
      let mut hasher = ContentHasher::default();
      hasher.add(&bytes);
      assert_eq!((hasher.finish(), bytes.len() as u64), (upload.content_hash, upload.file_size));
    }
    let contents: HashSet<_> = notes.iter().filter_map(|note| note.hash).collect();
    assert_eq!(contents, owed.iter().map(|upload| upload.content_hash).collect());
    let parts = std::fs::read_dir(&base).into_iter().flatten().flatten();
    assert!(parts.into_iter().all(|part| !part.file_name().to_string_lossy().ends_with(".part")));
    let (taken, others): (Vec<_>, Vec<_>) = notes.into_iter().partition(|n| n.hash.is_some());
    let taken = taken.into_iter().map(|note| (note.name, note.size)).collect();
    let others = others.into_iter().map(|n| (n.name, n.reason.unwrap_or_default())).collect();
    (taken, others)
  }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
  all.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned())).collect()
}

#[test]
fn what_lies_in_the_folder_and_what_is_named_is_taken() {
  let stage = Stage::new(&["*.csv", "deep/**/*.bin", "none.txt"]);
  stage.write("own/report.txt", b"hello");
  stage.write("own/sub/twice.txt", b"hello");
  stage.write("work/a.csv", b"");
  stage.write("work/b.txt", b"not named");
  stage.write("work/deep/1/2/x.bin", &[0; 1000]);
  let (taken, others) = stage.collect();
  let names: Vec<_> = taken.iter().map(|(name, size)| (name.as_str(), *size)).collect();
  let wanted = [("report.txt", 5), ("sub/twice.txt", 5), ("a.csv", 0), ("deep/1/2/x.bin", 1000)];
  assert_eq!(names, wanted);
  assert_eq!(others, pairs(&[("none.txt", "no file was found")]));
}

#[test]
fn links_devices_and_pipes_are_named_and_not_taken() {
  let stage = Stage::new(&["*", "out/*", "passwd"]);
  let (own, work) = (&stage.places.own, &stage.places.work_dir);
  symlink("/etc/passwd", own.join("link")).expect("link");
  symlink("/etc", own.join("folder")).expect("link");
  symlink("/etc", work.join("out")).expect("link");
  symlink("/etc/passwd", work.join("passwd")).expect("link");
  let fifo = std::process::Command::new("mkfifo").arg(own.join("fifo")).status().expect("mkfifo");
  assert!(fifo.success());
  let socket = std::os::unix::net::UnixListener::bind(own.join("socket")).expect("socket");
  stage.write("own/odd\u{1b}[31m\n", b"x");
  let (taken, others) = stage.collect();
  drop(socket);
  assert_eq!(taken, [("odd\u{fffd}[31m\u{fffd}".to_owned(), 1)]);
  let wanted = [
    ("fifo", "no plain file"),
    ("folder", "a link"),
    ("link", "a link"),
    ("socket", "no plain file"),
    ("out", "a link"),
    ("passwd", "a link"),
    ("out/*", "no file was found"),
  ];
  assert_eq!(others, pairs(&wanted));
}

#[test]
fn a_folder_that_is_a_link_or_a_file_is_not_looked_through() {
  for make in [
    |own: &Path| symlink("/etc", own).expect("link"),
    |own: &Path| std::fs::write(own, "x").expect("file"),
  ] {
    let stage = Stage::new(&[]);
    std::fs::remove_dir(&stage.places.own).expect("empty");
    make(&stage.places.own);
    let (taken, others) = stage.collect();
    assert!(taken.is_empty());
    assert_eq!(others, pairs(&[("HETUFLOW_ARTIFACTS", "no folder that can be read")]));
  }
}

#[test]
fn limits_hold_and_say_which() {
  let stage = Stage::new(&[]);
  stage.write("own/1", &[1; 1000]);
  stage.write("own/2", &[2; 1001]);
  stage.write("own/3", &[3; 1000]);
  stage.write("own/4", &[4; 501]);
  stage.write("own/5", &[5; 500]);
  let long = "n".repeat(200);
  stage.write(&format!("own/{long}/{long}/x"), b"x");
  let (taken, others) = stage.collect();
  let names: Vec<_> = taken.iter().map(|(name, _)| name.as_str()).collect();
  assert_eq!(names, ["1", "3", "5"]);
  let total = "larger than agent.process.artifact_total_max allows: 2500 bytes";
  let file = "larger than agent.process.artifact_size_max allows: 1000 bytes";
  let shown = format!("{}…", "n".repeat(60));
  assert_eq!(others, pairs(&[("2", file), ("4", total), (&shown, "its name is too long")]));
}

#[test]
fn too_many_files_are_told_as_such() {
  let stage = Stage::new(&[]);
  for index in 0..ARTIFACTS_MAX + 10 {
    stage.write(&format!("own/{index:04}"), b"x");
  }
  let (taken, others) = stage.collect();
  assert_eq!((taken.len(), others.len()), (ARTIFACTS_MAX - 1, 1));
  assert!(others[0].1.contains("256 files"), "{others:?}");
}

#[test]
fn files_of_other_users_are_not_the_task_s_to_hand_on() {
  let mut stage = Stage::new(&["*"]);
  stage.places.owner = Some(54_321);
  stage.write("own/a", b"x");
  stage.write("work/b", b"x");
  let (taken, others) = stage.collect();
  assert!(taken.is_empty());
  assert_eq!(others, pairs(&[("a", "a file of another user"), ("b", "a file of another user")]));
}

#[test]
fn nothing_is_made_where_nothing_is_left() {
  let stage = Stage::new(&[]);
  assert!(stage.places.may_hold());
  assert_eq!(stage.collect(), (Vec::new(), Vec::new()));
  std::fs::remove_dir(&stage.places.own).expect("empty");
  assert!(!stage.places.may_hold());
  assert!(!stage.dir.path().join("kept").exists());
}
