//! §10.4: the words that are typed to hetuflowctl; exit codes by TERMINAL B3.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::api::{House, quiet};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub struct Ran {
  /// Its exit code.
  pub code: Option<i32>,
  /// Standard output.
  pub stdout: String,
  /// Standard error.
  pub stderr: String,
}

/// Runs a program in `dir` with this environment alone and these bytes on standard input.
pub async fn run(
  (program, args): (&Path, &[OsString]),
  dir: &Path,
  environment: &[(&str, &str)],
  stdin: &[u8],
) -> Result<Ran> {
  let mut command = Command::new(program);
  command.args(args).env_clear().env("HOME", dir).env("PATH", "/usr/bin:/bin");
  command.envs(environment.iter().copied()).current_dir(dir).kill_on_drop(true);
  command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
  let mut child = command.spawn()?;
  if let Some(mut input) = child.stdin.take() {
    // A program that does not read has closed its end.
    let _closed = input.write_all(stdin).await;
  }
  let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
  let output = output.with_context(|| format!("{args:?} hangs"))??;
  let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
  let (stdout, stderr) = (text(output.stdout), text(output.stderr));
  ensure!(!stderr.contains("panicked"), "{args:?}: {stderr}");
  Ok(Ran { code: output.status.code(), stdout, stderr })
}

/// Every line of an error is harmless on a terminal.
pub fn harmless(text: &str) -> Result<()> {
  let hidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
  ensure!(!text.contains(hidden), "{text:?}");
  Ok(())
}

/// Row, words, exit code, words of the error.
const CASES: &[(&str, &[&str], i32, &str)] = &[
  ("B001", &["schedule", "create", "--job", "base", "--cron", ""], 8, "got 0"),
  ("B003", &["schedule", "next", "60 * * * *"], 8, "minute 60"),
  ("B006", &["schedule", "next", "5-1 * * * *"], 8, "5-59,0-1"),
  ("B015", &["schedule", "next", "* *\u{a0}* * *"], 8, "U+00A0"),
  ("B018", &["schedule", "next", "@daily", "--tz", "Mars/Phobos"], 8, "unknown time zone"),
  ("B003", &["schedule", "create", "--job", "base", "--cron", "60 * * * *"], 8, "minute 60"),
  ("B040", &["run", "--cmd", "true", "--env", "1X=y"], 8, "variable name"),
  ("B076", &[], 2, "subcommand"),
  ("B076", &["jbo"], 2, "job"),
  ("B076", &["job", "list", "--nope"], 2, "--nope"),
  ("B076", &["job", "list", "--limit"], 2, "--limit"),
  ("B076", &["get", "jbo", "x"], 2, "did you mean  job ?"),
  ("B077", &["--server", "foo", "status"], 2, "invalid --server"),
  ("B077", &["--server", "ftp://x", "status"], 2, "invalid --server"),
  ("B077", &["--server", "http://", "status"], 2, "invalid --server"),
  ("B077", &["--server", "http://h:70000", "status"], 2, "invalid --server"),
  ("B077", &["--server", "http://u:s3cret@h", "status"], 2, "//***@h"),
  ("B077", &["--server", "http://u:s3@cr/et@h", "-o", "json", "status"], 2, "//***@h"),
  ("B077", &["--server=ftp://u:s3cret@h/x", "status"], 2, "//***@h/x"),
  ("B077", &["login", "http://u:s3cret@h"], 2, "no user or password"),
  ("B078", &["--server", "http://127.0.0.1:1", "job", "list"], 7, "http://127.0.0.1:1"),
  ("B079", &["--token-file", "nowhere", "job", "list"], 4, "nowhere"),
  ("B079", &["--token-file", "empty", "job", "list"], 4, "empty"),
  ("B079", &["--token-file", "binary", "job", "list"], 4, "binary"),
  ("B079", &["--token-file", "wrong", "job", "list"], 4, "token"),
  ("B080", &["job", "list", "-o", "yamll"], 2, "did you mean yaml?"),
  ("B080", &["job", "list", "--limit", "-1"], 2, "-1"),
  ("B080", &["run", "base", "--in", "5x"], 2, "is not a duration"),
  ("B080", &["task", "list", "--state", "runing"], 2, "running"),
  ("B081", &["job", "create", "--file", "missing.yaml"], 3, "missing.yaml"),
  ("B081", &["apply", "-f", "folder"], 8, "folder"),
  ("B081", &["apply", "-f", "-"], 8, "nothing to apply"),
  ("B081", &["apply", "-f", "huge.yaml"], 8, "huge.yaml"),
  ("B085", &["logs", "-f", "01a1fd4c-835d-70e2-99f7-95b846c3061c"], 3, "no task"),
  ("B087", &["job", "delete", "--all"], 2, "--all"),
  ("B087", &["job", "delete", "base"], 2, "--yes"),
  ("B096", &["apply", "-f", "fifo.yaml"], 8, "no plain file"),
  ("B096", &["apply", "-f", "link.yaml"], 8, "no plain file"),
  ("B096", &["apply", "-f", "/dev/zero"], 8, "no plain file"),
];

/// The rows of this file's cases.
pub fn rows() -> Vec<&'static str> {
  CASES.iter().map(|(row, ..)| *row).chain(["B079", "B082", "B083", "B086"]).collect()
}

/// What a shell does with our output (row B083); exit code of the shell's last command.
const SHELLS: &[(&str, &str)] = &[
  ("\"$CTL\" help exit-codes | head -1; test ${PIPESTATUS[0]} = 0 -o ${PIPESTATUS[0]} = 141", ""),
  ("\"$CTL\" job list -o json | true; test ${PIPESTATUS[0]} = 0 -o ${PIPESTATUS[0]} = 141", ""),
  ("\"$CTL\" job list > /dev/full; test $? = 1", "No space left"),
  ("\"$CTL\" job list -o json > /dev/full; test $? = 1", "No space left"),
  ("\"$CTL\" job list >&-; test $? = 0 -o $? = 1", ""),
  ("\"$CTL\" job list 2>&-", ""),
  ("TERM=dumb COLUMNS=1 LINES=1 \"$CTL\" job list", ""),
  ("TERM= NO_COLOR=1 \"$CTL\" job list | grep -q base", ""),
  ("! { NO_COLOR=1 \"$CTL\" job list; \"$CTL\" job list; } | grep -q $'\\x1b'", ""),
];

/// Makes the files that the cases name.
fn files(dir: &Path) -> Result<()> {
  std::fs::create_dir(dir.join("folder"))?;
  std::fs::write(dir.join("empty"), "")?;
  std::fs::write(dir.join("binary"), [0xff, 0xfe, 0])?;
  std::fs::write(dir.join("wrong"), "htf_nobody\n")?;
  // Ten gigabytes of nothing: only a bounded read ends.
  std::fs::File::create(dir.join("huge.yaml"))?.set_len(10 << 30)?;
  let made = std::process::Command::new("mkfifo").arg(dir.join("fifo.yaml")).status()?;
  ensure!(made.success(), "mkfifo");
  Ok(std::os::unix::fs::symlink("fifo.yaml", dir.join("link.yaml"))?)
}

#[tokio::test]
async fn words_that_make_no_sense() -> Result<()> {
  let mut house = House::open(0).await?;
  let ctl = Binaries::find()?.ctl;
  let dir = house.cluster.dir().join("typed");
  std::fs::create_dir(&dir)?;
  files(&dir)?;
  let url = house.cluster.server(0).url().to_owned();
  let token = house.cluster.dir().join("admin.token");
  let token = token.to_str().context("the folder is no text")?;
  let environment = [
    ("HETUFLOW_SERVER", &*url),
    ("HETUFLOW_TOKEN_FILE", token),
    ("CTL", ctl.to_str().unwrap_or("")),
  ];
  let before = house.counts().await?;
  let mut wrong = Vec::new();
  for (row, args, code, words) in CASES {
    let typed: Vec<OsString> = args.iter().map(OsString::from).collect();
    let ran = run((&ctl, &typed), &dir, &environment, b"").await?;
    let fine = ran.code == Some(*code) && ran.stderr.contains(words) && ran.stdout.is_empty();
    let shown = ran.stderr.contains("s3");
    if !fine || shown || harmless(&ran.stderr).is_err() {
      wrong.push(format!("{row} {args:?}: not {code} {words:?}: {ran:?}"));
    }
    ensure!(house.counts().await? == before, "{row} {args:?} left something");
  }
  // B077: nor from the environment.
  let secret = [("HETUFLOW_SERVER", "http://u:s3cret@h")];
  let ran = run((&ctl, &["status".into()]), &dir, &secret, b"").await?;
  ensure!(ran.code == Some(2) && !ran.stderr.contains("s3cret"), "B077: {ran:?}");
  // B086: bytes that are no text.
  for args in [vec![b"job".to_vec(), b"get".to_vec(), b"\xff\xfe".to_vec()], vec![b"\xff".to_vec()]]
  {
    let typed: Vec<OsString> = args.into_iter().map(OsString::from_vec).collect();
    let ran = run((&ctl, &typed), &dir, &environment, b"").await?;
    ensure!(ran.code == Some(2) && ran.stdout.is_empty(), "B086 {typed:?}: {ran:?}");
  }
  let name = OsString::from_vec(b"\xff.yaml".to_vec());
  let typed = ["apply".into(), "-f".into(), name];
  ensure!(run((&ctl, &typed), &dir, &environment, b"").await?.code == Some(3), "B086 file");
  // B079: a token that others may read works, and is told.
  let open = dir.join("open");
  std::fs::write(&open, house.cluster.token())?;
  std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
  let typed = ["--token-file".into(), open.into(), "whoami".into()];
  let ran = run((&ctl, &typed), &dir, &environment, b"").await?;
  ensure!(ran.code == Some(0) && ran.stderr.contains("chmod 600"), "B079: {ran:?}");
  for (script, words) in SHELLS {
    let typed = ["-c".into(), OsString::from(script)];
    let ran = run((Path::new("/bin/bash"), &typed), &dir, &environment, b"").await?;
    if ran.code != Some(0) || !ran.stderr.contains(words) {
      wrong.push(format!("B083 {script}: {ran:?}"));
    }
  }
  ensure!(house.counts().await? == before, "B079, B083 or B086 left something");
  // B082: a word is a word.
  let typed = ["run", "--cmd", "@/etc/passwd", "-o", "json"].map(OsString::from);
  let ran = run((&ctl, &typed), &dir, &environment, b"").await?;
  ensure!(ran.code == Some(0) && ran.stdout.contains("\"@/etc/passwd\""), "B082: {ran:?}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()?;
  ensure!(wrong.is_empty(), "{} commands:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}
