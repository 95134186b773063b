//! One agent with its executor against a server that costs next to nothing: how fast it starts
//! processes, what it takes at rest, how late it is under load, what its output path carries, and
//! what two hundred deaths of it lose.

mod fake_server;
mod host;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hetuflow_core::Ts;
use serde_json::json;

use super::args::Options;
use super::baselines;
use super::report::{Bar, Report};
use super::sample::Sample;
use super::usage::{own_cpu_us, rss_of, tree_cpu_fine_us, tree_cpu_us};
use fake_server::FakeServer;
use host::Host;

/// Nothing here takes this long unless it hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Tasks that run at the same time while processes are counted.
const SLOTS: usize = 16;
/// Deaths of the agent.
const ROUNDS: usize = 200;
/// Memory for output while the server is away.
const BUFFER: u64 = 64 << 20;

/// Measures everything, or the part that is wanted.
///
/// # Errors
/// When something does not start or answer, or there is no such part.
pub async fn run(options: &Options, report: &mut Report) -> Result<()> {
  let parts = ["processes", "rest", "precision", "output", "away", "deaths"];
  let wanted = options.part.as_deref();
  if let Some(part) = wanted {
    ensure!(parts.contains(&part), "--part {part}: one of {} is needed", parts.join(", "));
  }
  for part in parts.into_iter().filter(|part| wanted.is_none_or(|wanted| wanted == *part)) {
    match part {
      "processes" => processes(options.tasks.unwrap_or(5000), report).await?,
      "rest" => rest(options.seconds.unwrap_or(10), report).await?,
      "precision" => precision(report).await?,
      "output" => output(options.megabytes.unwrap_or(400), report).await?,
      "away" => away(report).await?,
      _ => deaths(ROUNDS, report).await?,
    }
  }
  Ok(())
}

/// Most members of a process group of tasks alive at one moment, and open files of a process.
fn open_files(pid: u32) -> usize {
  std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, std::iter::Iterator::count)
}

/// Children of a process: those that run, and those that are dead and not reaped.
fn children(pid: u32) -> (usize, usize) {
  let list = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
  let text = list.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
  let text = text.collect::<Vec<_>>().join(" ");
  let (mut alive, mut dead) = (0, 0);
  for child in text.split_whitespace() {
    let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
    match stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z')) {
      Some(true) => dead += 1,
      Some(false) => alive += 1,
      None => {}
    }
  }
  (alive, dead)
}

async fn processes(tasks: usize, report: &mut Report) -> Result<()> {
  let bare = baselines::spawns(report)?;
  let server = FakeServer::start().await?;
  let toml = format!("agent.polling.max_concurrent_tasks = {SLOTS}");
  let host = Host::start(&server, &toml)?;
  server.until("the agent", LIMIT, |board| board.sessions > 0).await?;
  // Warm: the first process of an executor loads what all others share.
  let first = server.hand_out(json!({"command": "true"}), &[Ts::now()])?;
  server.until("the first end", LIMIT, |board| board.ends.contains_key(&first[0])).await?;
  let executor = host.executor_pid()?;
  let files = open_files(executor);
  let now = Ts::now();
  let cpu = (own_cpu_us()?, tree_cpu_us(executor));
  let config = json!({"cmd": "exec", "args": ["/bin/true"]});
  let ids = server.hand_out(config, &vec![now; tasks])?;
  let mut most = 0;
  server
    .until("all ends", LIMIT, |board| {
      most = most.max(children(executor).0);
      board.ends.len() > tasks
    })
    .await?;
  let took = (own_cpu_us()? - cpu.0, tree_cpu_us(executor) - cpu.1);
  let (begun, ended, good) = {
    let board = server.board();
    let of = |id| &board.ends[id];
    let begun = ids.iter().filter_map(|id| of(id).started_at_us).min().unwrap_or_default();
    let ended = ids.iter().filter_map(|id| of(id).timestamp_us).max().unwrap_or_default();
    (begun, ended, ids.iter().filter(|id| of(id).exit_code == Some(0)).count())
  };
  let rate = tasks as f64 / ((ended - begun) as f64 / 1e6);
  report.value("processes", rate, "/s");
  tokio::time::sleep(Duration::from_millis(200)).await;
  let grown = open_files(executor).saturating_sub(files);
  // The machine is not as fast in every second: what is measured lies between two of what it is
  // measured against.
  let afterwards = baselines::two_at_a_time()?;
  report.limit("the same afterwards", afterwards, "/s");
  let share = 100.0 * rate / f64::midpoint(bare.two_at_a_time, afterwards);
  report.barred("share of the bare loop", share, "%", Bar::AtLeast(85.0), None);
  report.value("share of the bare loop on one thread", 100.0 * rate / bare.sequential, "%");
  report.barred("most at the same time", most as f64, "", Bar::AtMost(SLOTS as f64), None);
  report.barred("open files more than before", grown as f64, "", Bar::AtMost(0.0), None);
  report.barred("zombies", children(executor).1 as f64, "", Bar::AtMost(0.0), None);
  report.cost("the fake server and this bench", took.0 as f64 / tasks as f64, "µs/task");
  report.cost("the executor and its processes", took.1 as f64 / tasks as f64, "µs/task");
  if good != tasks {
    report.problem(format!("{} of {tasks} have not succeeded", tasks - good));
  }
  Ok(())
}

async fn rest(seconds: u64, report: &mut Report) -> Result<()> {
  let server = FakeServer::start().await?;
  // The heartbeat that is shipped, not the quick one of this bench.
  let mut host = Host::start(&server, "agent.connection.heartbeat_interval = '5s'")?;
  server.until("the agent", LIMIT, |board| board.beats.len() > 4).await?;
  let (agent, executor) = (host.process().pid(), host.executor_pid()?);
  let before = tree_cpu_fine_us(agent);
  tokio::time::sleep(Duration::from_secs(seconds)).await;
  let busy = |now: u64, before: u64| now.saturating_sub(before) as f64 / 1e4 / seconds as f64;
  // The executor is a child of the agent that has started it.
  let share = busy(tree_cpu_fine_us(agent), before);
  let mib = |pid: u32| rss_of(pid) as f64 / f64::from(1 << 20);
  let (one, two) = (mib(agent), mib(executor));
  report.barred("agent and executor at rest, RSS", one + two, "MiB", Bar::AtMost(15.0), None);
  report.value("of it the executor", two, "MiB");
  report.value("memory of both that nobody else shares", private(agent) + private(executor), "MiB");
  report.barred("agent and executor at rest, of one core", share, "%", Bar::AtMost(0.1), None);
  report.note(format!("at rest for {seconds} s, with the heartbeats that are shipped"));
  Ok(())
}

/// Memory of a process that would be free without it, in MiB.
fn private(pid: u32) -> f64 {
  let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
  let lines = text.lines().filter(|line| line.starts_with("Private_"));
  let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
  kib.sum::<f64>() / 1024.0
}

async fn precision(report: &mut Report) -> Result<()> {
  let server = FakeServer::start().await?;
  let host = Host::start(&server, "agent.polling.max_concurrent_tasks = 600")?;
  server.until("the agent", LIMIT, |board| board.beats.len() > 4).await?;
  // One task floods the log for as long as the timers run.
  let flood =
    json!({"command": "timeout 12 yes a line of output that is not short at all || true"});
  let noise = server.hand_out(flood, &[Ts::now()])?;
  server.until("the flood", LIMIT, |board| board.bytes > 1 << 20).await?;
  let start = Ts::now().micros() + 2_000_000;
  let instants: Vec<Ts> = (0..500).map(|n| Ts::from_micros(start + n * 15_000)).collect();
  let ids = server.hand_out(json!({"cmd": "exec", "args": ["/bin/true"]}), &instants)?;
  server.until("all ends", LIMIT, |board| ids.iter().all(|id| board.ends.contains_key(id))).await?;
  let skew = {
    let board = server.board();
    let skew = ids.iter().filter_map(|id| board.ends[id].start_skew_us);
    Sample::new(skew.map(|us| us as f64 / 1e3).collect())
  };
  ensure!(skew.len() == ids.len(), "not every start has told how late it was");
  report.value("start behind its instant in a flood of output, p50", skew.p50(), "ms");
  let name = "start behind its instant in a flood of output, p99";
  report.barred(name, skew.p99(), "ms", Bar::AtMost(20.0), None);
  if skew.min() < 0.0 {
    report.problem(format!("a start was {} ms early", skew.min()));
  }
  server.until("the flood's end", LIMIT, |board| board.ends.contains_key(&noise[0])).await?;
  drop(host);
  Ok(())
}

async fn output(megabytes: usize, report: &mut Report) -> Result<()> {
  let server = FakeServer::start().await?;
  let host = Host::start(&server, "")?;
  server.until("the agent", LIMIT, |board| board.beats.len() > 4).await?;
  let bytes = megabytes * 1_000_000;
  let program = std::env::current_exe()?.display().to_string();
  let config = json!({"cmd": "exec", "args": [program, "lines", bytes.to_string()]});
  let ids = server.hand_out(config, &[Ts::now()])?;
  let begun = Instant::now();
  server.until("its end", LIMIT, |board| board.ends.contains_key(&ids[0])).await?;
  let took = begun.elapsed().as_secs_f64();
  let stored = server.board().bytes;
  let rate = stored as f64 / 1e6 / took;
  report.barred("text from a task to the server", rate, "MB/s", Bar::AtLeast(100.0), None);
  let told = server.board().ends[&ids[0]].log_bytes.unwrap_or_default();
  if told != stored {
    report.problem(format!("{told} bytes were written and {stored} arrived"));
  }
  report.note(format!("{megabytes} MB of text; the server keeps it in memory, not on a disk"));
  drop(host);
  Ok(())
}

/// The server is away while a task floods.
async fn away(report: &mut Report) -> Result<()> {
  let server = FakeServer::start().await?;
  let toml = format!("agent.process.output_buffer = '{BUFFER}'");
  let mut host = Host::start(&server, &toml)?;
  server.until("the agent", LIMIT, |board| board.beats.len() > 4).await?;
  let flood = json!({"command": "timeout 8 yes $(seq -s' ' 1 400) || true"});
  let ids = server.hand_out(flood, &[Ts::now()])?;
  server.until("the flood", LIMIT, |board| board.bytes > 1 << 20).await?;
  server.set_down(true);
  let (agent, executor) = (host.process().pid(), host.executor_pid()?);
  let mut most = 0;
  let until = Instant::now() + Duration::from_secs(5);
  while Instant::now() < until {
    most = most.max(rss_of(agent) + rss_of(executor));
    tokio::time::sleep(Duration::from_millis(20)).await;
  }
  let back = Instant::now();
  server.set_down(false);
  server.until("the end", LIMIT, |board| board.ends.contains_key(&ids[0])).await?;
  let mib = most as f64 / f64::from(1 << 20);
  let bound = (BUFFER >> 20) as f64 + 32.0;
  report.barred("flood without a server, RSS at most", mib, "MiB", Bar::AtMost(bound), None);
  let board = server.board();
  let late = board.beats.iter().filter(|at| **at > back);
  let late = late.map(|at| at.duration_since(back).as_secs_f64() * 1e3).fold(f64::MAX, f64::min);
  report.barred("first heartbeat after its return", late, "ms", Bar::AtMost(1000.0), None);
  let told = board.ends[&ids[0]].log_bytes.unwrap_or_default();
  if told != board.bytes {
    report.problem(format!("{told} bytes were written and {} arrived", board.bytes));
  }
  Ok(())
}

/// `kill -9` of the agent, again and again, with tasks that write and end all the time.
async fn deaths(rounds: usize, report: &mut Report) -> Result<()> {
  let server = FakeServer::start().await?;
  server.board().keeps_output = true;
  let mut host = Host::start(&server, "agent.polling.max_concurrent_tasks = 8")?;
  server.until("the agent", LIMIT, |board| board.sessions > 0).await?;
  let script =
    "for i in $(seq 1 20); do echo line $i of $HETUFLOW_INSTANCE_ID; sleep 0.03; done; exit 7";
  let truth = host.dir().join("truth.log");
  let script = format!("echo $HETUFLOW_INSTANCE_ID >>{}; {script}", truth.display());
  let mut ids = Vec::new();
  for round in 0..rounds {
    ids.extend(server.hand_out(json!({"command": script}), &[Ts::now(); 2])?);
    // From the middle of a start to long after an end.
    tokio::time::sleep(Duration::from_millis(40 + (round as u64 * 37) % 200)).await;
    let sessions = server.board().sessions;
    host.kill_and_restart()?;
    server.until("the agent again", LIMIT, |board| board.sessions > sessions).await?;
  }
  // What was only handed to a dead agent is this server's to hand out again; it is no loss.
  tokio::time::sleep(Duration::from_secs(2)).await;
  let started = std::fs::read_to_string(&truth)?;
  let started: Vec<&str> = started.lines().collect();
  server
    .until("the ends", LIMIT, |board| {
      ids
        .iter()
        .filter(|id| started.contains(&id.to_string().as_str()))
        .all(|id| board.ends.contains_key(id))
    })
    .await?;
  let board = server.board();
  let (mut lost_codes, mut lost_bytes) = (0, 0);
  for id in ids.iter().filter(|id| started.contains(&id.to_string().as_str())) {
    let end = &board.ends[id];
    lost_codes += usize::from(end.exit_code != Some(7));
    let wanted: String = (1..=20).map(|n| format!("line {n} of {id}\n")).collect();
    let mut bytes: Vec<u8> = board
      .output
      .get(id)
      .into_iter()
      .flat_map(|chunks| chunks.values().flatten().copied())
      .collect();
    bytes.extend(end.output_bytes()?.unwrap_or_default());
    if bytes != wanted.as_bytes() {
      lost_bytes += wanted.len().abs_diff(bytes.len()).max(1);
    }
  }
  let mut once = started.clone();
  once.sort_unstable();
  once.dedup();
  let twice = started.len() - once.len();
  report.barred("exit codes lost", lost_codes as f64, "", Bar::AtMost(0.0), None);
  report.barred("bytes of output lost", lost_bytes as f64, "", Bar::AtMost(0.0), None);
  report.barred("started twice", twice as f64, "", Bar::AtMost(0.0), None);
  report.note(format!("{rounds} deaths of the agent, {} tasks started meanwhile", once.len()));
  if lost_codes + lost_bytes + twice + board.contradictions > 0 {
    report.problem(format!(
      "{lost_codes} codes and {lost_bytes} bytes lost, {twice} started twice, {} ends contradicted",
      board.contradictions
    ));
  }
  Ok(())
}
