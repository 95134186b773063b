//! What an import came to, for people and programs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{Found, FoundJob};
use super::proof::{Proof, prove};
use crate::client::Exit;
use crate::command::session::Session;
use crate::output::{Cell, Column, Format, Outcome, Record, View, visible};

const COLUMNS: &[Column] = &[
  Column::new("NAME"),
  Column::new("WHEN"),
  Column::new("COMPARED"),
  Column::new("DIFFERENCES"),
  Column::new("SOURCE"),
  Column::new("NOTES"),
];

/// The proofs of all jobs, in their order.
#[derive(Debug)]
pub struct Report {
  proofs: Vec<Vec<Proof>>,
}

impl Report {
  /// Compares all schedules.
  pub fn of(found: &Found, (from, count): (Timestamp, usize)) -> Self {
    let proofs = found.jobs.iter().map(|one| {
      let pairs = one.times.iter().zip(&one.job.schedules);
      pairs.map(|(time, schedule)| prove(time, schedule, (from, count))).collect()
    });
    Self { proofs: proofs.collect() }
  }

  fn different(&self) -> usize {
    self.proofs.iter().flatten().filter(|proof| !proof.differences.is_empty()).count()
  }

  /// The answer, with exit code 11 where something stays behind and 10 where fires differ.
  pub fn outcome(&self, session: &Session, found: &Found) -> Outcome {
    let view = match session.look.format {
      Format::Table => View::text(self.text(found), Value::Null),
      Format::Json => View::text("", self.json(found)),
      _ => View::Things(COLUMNS, self.records(found)),
    };
    let exit = if !found.left.is_empty() {
      Exit::SomeFailed as u8
    } else if self.different() > 0 {
      Exit::Differences as u8
    } else {
      0
    };
    let mut outcome = Outcome::from(view).exit(exit);
    if session.look.format != Format::Table {
      for (place, why) in &found.left {
        outcome.notes.push(format!("left out: {place}  {why}"));
      }
    }
    outcome
  }

  fn text(&self, found: &Found) -> String {
    let mut text = String::new();
    for (one, proofs) in found.jobs.iter().zip(&self.proofs) {
      text.push_str(&format!("job/{:<24} {}\n", one.job.name, visible(&one.place)));
      for proof in proofs {
        text.push_str(&proof_text(proof));
      }
      for note in &one.notes {
        text.push_str(&format!("  note: {}\n", visible(note)));
      }
      if let Some(change) = found.applied.iter().find(|change| change.name == one.job.name) {
        text.push_str(&format!("  applied: {}\n", change.action));
      }
    }
    for (place, why) in &found.left {
      text.push_str(&format!("left out: {}  {}\n", visible(place), visible(why)));
    }
    let schedules: usize = self.proofs.iter().map(Vec::len).sum();
    text.push_str(&format!(
      "{} job(s), {schedules} schedule(s), {} with differences, {} left out\n",
      found.jobs.len(),
      self.different(),
      found.left.len()
    ));
    text
  }

  fn json(&self, found: &Found) -> Value {
    let jobs: Vec<Value> =
      found.jobs.iter().zip(&self.proofs).map(|(one, proofs)| job_json(one, proofs)).collect();
    let left: Vec<Value> =
      found.left.iter().map(|(place, why)| json!({ "source": place, "reason": why })).collect();
    json!({ "jobs": jobs, "left_out": left, "applied": found.applied })
  }

  fn records(&self, found: &Found) -> Vec<Record> {
    let rows = found.jobs.iter().zip(&self.proofs).map(|(one, proofs)| {
      let when: Vec<&str> = proofs.iter().map(|proof| proof.ours.as_str()).collect();
      let sum = |of: fn(&Proof) -> usize| {
        i64::try_from(proofs.iter().map(of).sum::<usize>()).unwrap_or(i64::MAX)
      };
      Record {
        name: format!("job/{}", one.job.name),
        value: job_json(one, proofs),
        manifest: Some(one.manifest()),
        cells: vec![
          Cell::text(&one.job.name),
          Cell::text(when.join("; ")),
          Cell::Number(sum(|proof| proof.compared)),
          Cell::Number(sum(|proof| proof.differences.len())),
          Cell::text(&one.place),
          Cell::text(one.notes.join("; ")),
        ],
      }
    });
    rows.collect()
  }
}

fn job_json(one: &FoundJob, proofs: &[Proof]) -> Value {
  json!({ "name": one.job.name, "source": one.place, "schedules": proofs, "notes": one.notes, "manifest": one.manifest() })
}

fn proof_text(proof: &Proof) -> String {
  let mut text = format!("  {}  {}", visible(&proof.ours), proof.timezone);
  if proof.theirs != proof.ours {
    text.push_str(&format!("  (there: {})", visible(&proof.theirs)));
  }
  match (proof.compared, proof.differences.len()) {
    (0, _) => text.push_str("  not compared: it has no fixed instants\n"),
    (compared, 0) => {
      let until = proof.until.map(|at| at.to_string()).unwrap_or_default();
      text.push_str(&format!("  the next {compared} fires are the same, to {until}\n"));
    }
    (compared, many) => {
      text.push_str(&format!("  {many} differences in the next {compared} fires\n"));
    }
  }
  for one in &proof.differences {
    let note = one.note.as_ref().map(|note| format!("   {note}")).unwrap_or_default();
    text.push_str(&format!(
      "    {}  there {}, here {}{note}\n",
      one.local,
      times(one.theirs),
      times(one.ours)
    ));
  }
  text
}

fn times(count: usize) -> String {
  match count {
    0 => "not".to_owned(),
    1 => "once".to_owned(),
    many => format!("{many} times"),
  }
}
