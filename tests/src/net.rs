//! A second host on this machine: a network namespace with a link of its own, which a story can
//! cut in one direction or both, thin out, slow down or reset. Needs root, `ip`, `tc` and `nft`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// How names of ours begin; the process follows, so that leftovers of dead ones can be told.
const PREFIX: &str = "hft";

/// A host that is reached over one link.
#[derive(Debug)]
pub struct Host {
  name: String,
  near: String,
  far: String,
  subnet: (u8, u8),
}

impl Host {
  /// A host with a good link.
  ///
  /// # Errors
  /// When this process may not make one, or a tool is missing; the text says what to do.
  pub fn new() -> Result<Self> {
    ensure!(
      rustix::process::geteuid().is_root(),
      "hosts of their own need root: sudo -E scripts/test"
    );
    remove_leftovers();
    let pid = std::process::id();
    let name = format!("{PREFIX}{pid}");
    let host = Self {
      near: format!("{name}n"),
      far: format!("{name}f"),
      // One of 4096 nets of four addresses; processes of one run have different numbers.
      subnet: (u8::try_from(pid >> 6 & 63)? + 64, u8::try_from((pid & 63) << 2)?),
      name,
    };
    host.make().inspect_err(|_| host.remove())?;
    Ok(host)
  }

  fn make(&self) -> Result<()> {
    let Self { name, near, far, .. } = self;
    let (a, b) = (self.near_address(), self.far_address());
    ip(&format!("netns add {name}"))?;
    ip(&format!("link add {near} type veth peer name {far} netns {name}"))?;
    ip(&format!("addr add {a}/30 dev {near}"))?;
    ip(&format!("link set {near} up"))?;
    ip(&format!("-n {name} addr add {b}/30 dev {far}"))?;
    ip(&format!("-n {name} link set lo up"))?;
    ip(&format!("-n {name} link set {far} up"))?;
    nft(&format!(
      "add table inet {name}; add chain inet {name} in {{ type filter hook input priority 0; }}; \
       add chain inet {name} out {{ type filter hook output priority 0; }}"
    ))
  }

  /// The address on this side, where servers listen.
  pub fn near_address(&self) -> String {
    format!("10.231.{}.{}", self.subnet.0, self.subnet.1 | 1)
  }

  fn far_address(&self) -> String {
    format!("10.231.{}.{}", self.subnet.0, self.subnet.1 | 2)
  }

  /// The words in front of a program that make it run there, with the same process id.
  pub fn enter(&self) -> Vec<String> {
    vec!["/usr/bin/nsenter".to_owned(), format!("--net=/run/netns/{}", self.name), "--".to_owned()]
  }

  /// Nothing comes from the host any more; nobody is told.
  ///
  /// # Errors
  /// When the rule cannot be set.
  pub fn cut_from(&self) -> Result<()> {
    nft(&format!("add rule inet {} in iifname {} drop", self.name, self.near))
  }

  /// Nothing gets to the host any more; nobody is told.
  ///
  /// # Errors
  /// When the rule cannot be set.
  pub fn cut_to(&self) -> Result<()> {
    nft(&format!("add rule inet {} out oifname {} drop", self.name, self.near))
  }

  /// Neither gets through.
  ///
  /// # Errors
  /// When a rule cannot be set.
  pub fn cut(&self) -> Result<()> {
    self.cut_from()?;
    self.cut_to()
  }

  /// Of a hundred packets in each direction so many are lost.
  ///
  /// # Errors
  /// When a rule cannot be set.
  pub fn lose(&self, percent: u8) -> Result<()> {
    let Self { name, near, .. } = self;
    nft(&format!(
      "add rule inet {name} in iifname {near} numgen random mod 100 < {percent} drop; \
       add rule inet {name} out oifname {near} numgen random mod 100 < {percent} drop"
    ))
  }

  /// Packets of more than so many bytes vanish in both directions, and nobody is told.
  ///
  /// # Errors
  /// When a rule cannot be set.
  pub fn swallow_large(&self, bytes: u16) -> Result<()> {
    let Self { name, near, .. } = self;
    nft(&format!(
      "add rule inet {name} in iifname {near} meta length > {bytes} drop; \
       add rule inet {name} out oifname {near} meta length > {bytes} drop"
    ))
  }

  /// Every connection of the host is reset with its next packet, also in the middle of a frame.
  ///
  /// # Errors
  /// When the rule cannot be set.
  pub fn reset(&self) -> Result<()> {
    let Self { name, near, .. } = self;
    nft(&format!("add rule inet {name} in iifname {near} meta l4proto tcp reject with tcp reset"))
  }

  /// The link carries so many bits a second in each direction.
  ///
  /// # Errors
  /// When the queue cannot be set.
  pub fn slow_down(&self, bits_per_second: u32) -> Result<()> {
    let Self { name, near, far, .. } = self;
    let queue = format!("root tbf rate {bits_per_second}bit burst 16kb latency 400ms");
    run("tc", &format!("qdisc replace dev {near} {queue}"))?;
    run("tc", &format!("-n {name} qdisc replace dev {far} {queue}"))
  }

  /// The link is good again.
  ///
  /// # Errors
  /// When a rule cannot be taken away.
  pub fn heal(&self) -> Result<()> {
    let Self { name, near, far, .. } = self;
    nft(&format!("flush table inet {name}"))?;
    // There may be none.
    let _none = run("tc", &format!("qdisc del dev {near} root"));
    let _none = run("tc", &format!("-n {name} qdisc del dev {far} root"));
    Ok(())
  }

  fn remove(&self) {
    remove(&self.name);
  }
}

impl Drop for Host {
  fn drop(&mut self) {
    self.remove();
  }
}

/// Best effort: what was not made cannot be removed.
fn remove(name: &str) {
  let _none = nft(&format!("delete table inet {name}"));
  let _none = ip(&format!("link del {name}n"));
  let _none = ip(&format!("netns del {name}"));
}

/// Removes hosts of processes that died before they could do it.
fn remove_leftovers() {
  let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
  for entry in entries {
    let name = entry.file_name().to_string_lossy().into_owned();
    let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.parse::<u32>().ok());
    if pid.is_some_and(|pid| !PathBuf::from(format!("/proc/{pid}")).exists()) {
      remove(&name);
    }
  }
}

fn ip(words: &str) -> Result<()> {
  run("ip", words)
}

/// One text, so that all of it counts or nothing.
fn nft(text: &str) -> Result<()> {
  command("nft", &[text])
}

fn run(program: &str, words: &str) -> Result<()> {
  command(program, &words.split(' ').collect::<Vec<_>>())
}

fn command(program: &str, words: &[&str]) -> Result<()> {
  let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
  let output = Command::new(program).args(words).env("PATH", path).output();
  let output = output
    .with_context(|| format!("{program}: apt-get install -y iproute2 nftables util-linux"))?;
  if !output.status.success() {
    bail!("{program} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
  }
  Ok(())
}

#[cfg(test)]
mod tests {
  use std::io::{Read, Write};
  use std::net::{TcpListener, TcpStream};
  use std::process::Stdio;
  use std::time::Duration;

  use super::*;

  /// Whether three bytes from the host come in.
  fn hears(host: &Host, listener: &TcpListener) -> bool {
    let port = listener.local_addr().unwrap().port();
    let words = host.enter();
    let dial = format!("exec 3<>/dev/tcp/{}/{port}; echo hi >&3", host.near_address());
    let mut child = Command::new(&words[0])
      .args(&words[1..])
      .args(["timeout", "3", "/bin/bash", "-c", &dial])
      .stderr(Stdio::null())
      .spawn()
      .unwrap();
    child.wait().unwrap();
    let mut text = Vec::new();
    let accepted = listener.accept();
    if let Ok((mut stream, _)) = accepted {
      stream.set_nonblocking(false).unwrap();
      stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
      let _cut_off = stream.read_to_end(&mut text);
    }
    text == b"hi\n"
  }

  #[test]
  fn a_link_breaks_and_heals() {
    let host = Host::new().unwrap();
    let listener = TcpListener::bind((host.near_address(), 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert!(hears(&host, &listener));
    for how in [Host::cut_from, Host::cut_to, Host::cut, Host::reset, |host: &Host| host.lose(99)] {
      how(&host).unwrap();
      assert!(!hears(&host, &listener));
      host.heal().unwrap();
      assert!(hears(&host, &listener));
    }
    host.slow_down(64_000).unwrap();
    assert!(hears(&host, &listener));
    // The way there is not the way back.
    let port = listener.local_addr().unwrap().port();
    let mut own = TcpStream::connect((host.near_address(), port)).unwrap();
    host.cut_to().unwrap();
    own.write_all(b"own").unwrap();
    let name = host.name.clone();
    drop(host);
    assert!(!PathBuf::from("/run/netns").join(name).exists());
  }
}
