//! Addresses of servers. A name is asked for anew at each try, so that a server may move; where no
//! answer comes, the address that was good last is good enough.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The addresses that connections were made to, by name and port.
#[derive(Debug, Default)]
pub struct Names {
  good: HashMap<(String, u16), SocketAddr>,
  /// Names that could not be asked for the last time, so that an outage is one line.
  silent: HashMap<String, String>,
}

impl Names {
  /// Where to dial.
  ///
  /// # Errors
  /// When the name cannot be resolved within `limit`, and never was before.
  pub async fn find(
    &mut self,
    host: &str,
    port: u16,
    limit: Duration,
  ) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
      return Ok(vec![SocketAddr::new(address, port)]);
    }
    let asked = tokio::time::timeout(limit, tokio::net::lookup_host((host, port))).await;
    let found = match asked {
      Ok(Ok(found)) => Ok(found.collect::<Vec<_>>()),
      Ok(Err(error)) => Err(error),
      Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
    };
    match found {
      Ok(found) if !found.is_empty() => {
        self.silent.remove(host);
        Ok(found)
      }
      Ok(_) => self.known(host, port, io::Error::new(io::ErrorKind::NotFound, "it has no address")),
      Err(error) => self.known(host, port, error),
    }
  }

  fn known(&mut self, host: &str, port: u16, why: io::Error) -> io::Result<Vec<SocketAddr>> {
    let Some(address) = self.good.get(&(host.to_owned(), port)) else { return Err(why) };
    let reason = why.to_string();
    if self.silent.get(host) != Some(&reason) {
      tracing::warn!(name = host, %address, %reason,
        "the server's name cannot be resolved; its last known address is used");
      self.silent.insert(host.to_owned(), reason);
    }
    Ok(vec![*address])
  }

  /// A connection was made to this one.
  pub fn note_good(&mut self, host: &str, address: SocketAddr) {
    self.good.insert((host.to_owned(), address.port()), address);
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  const LIMIT: Duration = Duration::from_secs(20);

  #[tokio::test]
  async fn numbers_are_addresses_and_unknown_names_are_errors() {
    let mut names = Names::default();
    let found = names.find("::1", 8080, LIMIT).await.expect("an address");
    assert_eq!(found, ["[::1]:8080".parse().expect("an address")]);
    names.find("no-such-host.invalid", 8080, LIMIT).await.expect_err("there is none");
  }

  #[tokio::test]
  async fn a_name_that_is_not_answered_has_its_last_good_address() {
    let mut names = Names::default();
    let good: SocketAddr = "192.0.2.7:8080".parse().expect("an address");
    names.note_good("no-such-host.invalid", good);
    for _ in 0..2 {
      let found = names.find("no-such-host.invalid", 8080, LIMIT).await.expect("the last one");
      assert_eq!(found, [good]);
    }
    names.find("no-such-host.invalid", 8081, LIMIT).await.expect_err("another port");
    // An answer counts more than what was good.
    names.note_good("localhost", "192.0.2.7:8080".parse().expect("an address"));
    let found = names.find("localhost", 8080, LIMIT).await.expect("an address");
    assert!(found.iter().all(|one| one.ip().is_loopback()), "{found:?}");
  }
}
