//! §10.5: manifests, applied for real; whatever is wrong, nothing is stored.

use anyhow::{Context, Result, ensure};
use hetuflow_tests::binaries::Binaries;

use crate::api::{House, quiet};
use crate::command_line::{harmless, run};

/// A manifest that is fine.
const GOOD: &str = "\
apiVersion: hetuflow/v1
kind: Job
metadata: { name: etl, labels: { tier: gold } }
spec:
  config:
    command: echo hello
    timeout: 30m
  schedules:
    - { cron: \"0 2 * * *\", tz: Asia/Shanghai }
";

/// Row, manifest, words of the error.
fn cases() -> Vec<(&'static str, Vec<u8>, &'static str)> {
  let with = |from: &str, to: &str| GOOD.replace(from, to);
  let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for n in 1..20 {
    let ten = vec![format!("*a{}", n - 1); 10].join(", ");
    laughs.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
  }
  let anchors: String = (0..1000).map(|n| format!("a{n}: &x{n} 1\n")).collect();
  let second = |text: &str| format!("{}---\n{text}", GOOD.replace("name: etl", "name: first"));
  let rows = vec![
    ("B003", with("0 2 * * *", "60 2 * * *"), "minute 60"),
    ("B006", second(&with("0 2 * * *", "5-1 * * * *")), "5-59,0-1"),
    ("B018", with("Asia/Shanghai", "Mars/Phobos"), "unknown time zone"),
    ("B032", with("timeout", "timeuot"), "did you mean  timeout ?"),
    ("B040", second(&with("name: etl", "name: a/b")), "is not a name"),
    ("B046", with("tier: gold", "\"a b\": gold"), "label name"),
    ("B088", with("  config:", "\tconfig:"), "spaces, not tabs"),
    ("B088", with("\"0 2 * * *\"", "\"0 2 * * *"), "bad.yaml:"),
    ("B088", format!("{GOOD}---\n[\n"), "bad.yaml:11:1"),
    ("B088", format!("[\n---\n{GOOD}"), "bad.yaml:"),
    ("B089", laughs, "bad.yaml"),
    ("B089", anchors, "bad.yaml"),
    ("B089", "[".repeat(10_000), "bad.yaml"),
    (
      "B089",
      "a:\n".to_owned() + &(1..2000).map(|n| " ".repeat(n) + "a:\n").collect::<String>(),
      "bad.yaml",
    ),
    ("B090", with("name: etl", "name: no"), "expected string, got boolean; quote it"),
    ("B090", with("tier: gold", "tier: on"), "expected string, got boolean; quote it"),
    ("B090", with("echo hello", "0o17"), "expected string, got number; quote it"),
    ("B090", with("echo hello", "1_000"), "expected string, got number; quote it"),
    ("B090", with("echo hello", "12:30:45"), "expected string, got number; quote it"),
    ("B090", with("name: etl", "name: ~"), "expected string, got null; quote it"),
    ("B091", format!("{GOOD}kind: Job\n"), "kind stands twice; the first is on line 2"),
    ("B091", with("  config:", "  <<: { a: b }\n  config:"), "<<"),
    ("B091", with("echo hello", "!!python/object:os.system x"), "python/object"),
    ("B091", with("echo hello", "!Ref x"), "!Ref"),
    ("B092", String::new(), "nothing to apply"),
    ("B092", "# nothing\n---\n# here\n".to_owned(), "nothing to apply"),
    ("B093", with("kind: Job", "kind: Jbo"), "did you mean  Job ?"),
    ("B093", with("apiVersion: hetuflow/v1\n", ""), "apiVersion is missing"),
    ("B093", with("hetuflow/v1", "hetuflow/v2"), "hetuflow/v2 is not known"),
    ("B094", with("\"0 2 * * *\"", "* * * * *"), "quote the cron expression"),
    ("B094", with("\"0 2 * * *\"", "*/10 * * * *"), "quote the cron expression"),
    ("B095", format!("{GOOD}---\n{GOOD}"), "job etl stands twice; the first is at bad.yaml:3"),
  ];
  let bytes = rows.into_iter().map(|(row, text, words)| (row, text.into_bytes(), words));
  let latin = [GOOD.as_bytes(), b"# caf\xe9\n"].concat();
  bytes.chain([("B092", latin, "line 10 is not UTF-8")]).collect()
}

/// The rows of this file's cases.
pub fn rows() -> Vec<&'static str> {
  cases().into_iter().map(|(row, ..)| row).collect()
}

#[tokio::test]
async fn every_manifest_is_refused_whole() -> Result<()> {
  let mut house = House::open(0).await?;
  let ctl = Binaries::find()?.ctl;
  let dir = house.cluster.dir().join("files");
  std::fs::create_dir(&dir)?;
  let url = house.cluster.server(0).url().to_owned();
  let token = house.cluster.dir().join("admin.token");
  let token = token.to_str().context("the folder is no text")?;
  let environment = [("HETUFLOW_SERVER", &*url), ("HETUFLOW_TOKEN_FILE", token)];
  let apply = ["apply", "-f", "bad.yaml", "-y"].map(Into::into);
  let before = house.counts().await?;
  let mut wrong = Vec::new();
  for (row, text, words) in cases() {
    std::fs::write(dir.join("bad.yaml"), &text)?;
    let ran = run((&ctl, &apply), &dir, &environment, b"").await?;
    let fine = ran.code == Some(8) && ran.stderr.contains(words) && ran.stdout.is_empty();
    let told = fine && ran.stderr.starts_with("error: ") && ran.stderr.len() < 4000;
    if !told || harmless(&ran.stderr).is_err() {
      let shown: String = ran.stderr.chars().take(800).collect();
      let text: String = String::from_utf8_lossy(&text).chars().take(300).collect();
      wrong.push(format!("{row} {words:?}: {:?} {shown}\n{text}", ran.code));
    }
    ensure!(house.counts().await? == before, "{row} {words:?} left something");
  }
  // B092: line ends and marks of other systems are fine.
  let windows = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
  std::fs::write(dir.join("bad.yaml"), windows)?;
  let ran = run((&ctl, &apply), &dir, &environment, b"").await?;
  ensure!(ran.code == Some(0), "{ran:?}");
  let job = house.cluster.api().get_ok("/jobs/etl").await?;
  ensure!(job["config"]["command"] == "echo hello", "{job}");
  quiet(&mut house.cluster, 0)?;
  house.cluster.finish()?;
  ensure!(wrong.is_empty(), "{} manifests:\n{}", wrong.len(), wrong.join("\n"));
  Ok(())
}
