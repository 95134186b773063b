//! Whatever happens to frames on their way: once it is quiet, the store has the truth.

use std::time::Duration;

use hetuflow_core::{Scope, Watch, WatchFrame};
use proptest::prelude::*;
use serde_json::Value;

use super::data;
use crate::tui::store::Store;

/// A server with one list; rows are numbers with a state.
#[derive(Debug, Clone)]
struct Server {
  epoch: u32,
  seq: i64,
  rows: Vec<(u32, &'static str)>,
  next: u32,
  told: (i64, Vec<(u32, &'static str)>),
}

const STATES: [&str; 4] = ["pending", "running", "failed", "succeeded"];

impl Server {
  fn new() -> Self {
    Self { epoch: 1, seq: 10, rows: vec![(1, "pending")], next: 2, told: (0, Vec::new()) }
  }

  fn change(&mut self, dice: u32) {
    self.seq += 1 + i64::from(dice % 3);
    match dice % 5 {
      0 | 1 => {
        self.rows.insert(0, (self.next, "pending"));
        self.next += 1;
        self.rows.truncate(12);
      }
      2 if !self.rows.is_empty() => {
        self.rows.remove(dice as usize % self.rows.len());
      }
      _ if !self.rows.is_empty() => {
        let at = dice as usize % self.rows.len();
        self.rows[at].1 = STATES[dice as usize / 7 % 4];
      }
      _ => {}
    }
  }

  fn json(row: (u32, &'static str)) -> Value {
    data::task_json(row.0, "etl", row.1)
  }

  fn frame(&mut self, id: &str, full: bool) -> WatchFrame {
    let (told_seq, told) = std::mem::replace(&mut self.told, (self.seq, self.rows.clone()));
    let fresh = self.rows.iter().filter(|row| full || !told.contains(row));
    WatchFrame {
      id: id.to_owned(),
      epoch: self.epoch.to_string(),
      prev_seq: if full { 0 } else { told_seq },
      seq: self.seq,
      at: data::now(),
      full,
      merged: 1,
      matched: Some(self.rows.len() as u64),
      total: Some(self.rows.len() as u64),
      put: fresh.map(|row| Self::json(*row)).collect(),
      order: Some(self.rows.iter().map(|row| data::id(row.0)).collect()),
      causes: None,
      object: None,
      error: None,
    }
  }
}

fn question() -> Watch {
  Watch {
    id: "tasks".into(),
    scope: Scope::Tasks,
    namespace_id: None,
    filter: String::new(),
    sort: String::new(),
    from: 0,
    len: 0,
    max_hz: 0,
    target: None,
  }
}

fn deliver(
  store: &mut Store,
  server: &mut Server,
  frame: WatchFrame,
  asked: &mut String,
  way: &mut Vec<WatchFrame>,
) {
  if let (_, Some(again)) = store.apply(frame, Duration::ZERO) {
    asked.clone_from(&again.id);
    way.push(server.frame(asked, true));
  }
}

proptest! {
  #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

  #[test]
  fn after_quiet_the_store_has_the_truth(steps in proptest::collection::vec((0_u32..100, 0_u32..1000), 1..80)) {
    let (mut store, mut server) = (Store::default(), Server::new());
    store.ask(question());
    let mut asked = store.view("tasks").expect("asked").wire_id();
    let mut way = vec![server.frame(&asked, true)];
    for (fate, dice) in steps {
      server.change(dice);
      if dice % 31 == 0 {
        server.epoch += 1;
        server.seq = i64::from(dice % 20);
      }
      way.push(server.frame(&asked, false));
      match fate {
        0..12 => drop(way.pop()),
        12..22 => way.push(way[0].clone()),
        22..32 => way.reverse(),
        32..50 => {}
        50..53 => {
          // The connection broke: what was on its way is lost, everything is asked anew.
          way.clear();
          asked = store.ask_all_again()[0].id.clone();
          way.push(server.frame(&asked, true));
        }
        _ => for frame in std::mem::take(&mut way) {
          deliver(&mut store, &mut server, frame, &mut asked, &mut way);
        },
      }
    }
    // Quiet: what is on its way comes, then one more change in order, until nothing is asked.
    for _ in 0..6 {
      server.change(4);
      way.push(server.frame(&asked, false));
      while !way.is_empty() {
        for frame in std::mem::take(&mut way) {
          deliver(&mut store, &mut server, frame, &mut asked, &mut way);
        }
      }
    }
    let view = store.view("tasks").expect("asked");
    prop_assert!(view.synced);
    prop_assert_eq!(view.seq, server.seq);
    let truth: Vec<String> = server.rows.iter().map(|row| data::id(row.0)).collect();
    prop_assert_eq!(&view.order, &truth);
    for row in &server.rows {
      prop_assert_eq!(&view.rows[&data::id(row.0)].raw, &Server::json(*row));
    }
    prop_assert_eq!(view.rows.len(), server.rows.len());
  }
}
