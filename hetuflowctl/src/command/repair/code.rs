//! The codes of findings: what they mean, what their repair risks and changes.

/// One code.
#[derive(Debug)]
pub struct Code {
  /// The code.
  pub code: &'static str,
  /// What it is, in a few words.
  pub title: &'static str,
  /// How it comes about.
  pub cause: &'static str,
  /// What the repair may cost.
  pub risk: &'static str,
  /// What the repair changes, exactly.
  pub change: &'static str,
}

/// All codes that can be found through the API.
pub const CODES: [Code; 5] = [
  Code {
    code: "R002",
    title: "a task was claimed and never sent",
    cause: "A server went away between the claim of a task and its way to the agent, and no sweep has taken the claim back for more than a minute.",
    risk: "If the agent lives and starts the task at this very moment, the task is stopped again.",
    change: "POST /tasks/ID/cancel: the task ends as cancelled. Run it again with: hetuflowctl retry ID",
  },
  Code {
    code: "R003",
    title: "a task was sent to an agent that has not started it",
    cause: "The task was sent more than a minute ago and its agent is connected, but says nothing of a start: the message or its answer was lost.",
    risk: "If the agent starts the task at this very moment, the task is stopped again.",
    change: "POST /tasks/ID/cancel: the task ends as cancelled. Run it again with: hetuflowctl retry ID",
  },
  Code {
    code: "R004",
    title: "a task counts as running on an agent that is offline",
    cause: "The agent went away with its task more than an hour ago, and the job's lost_after has not ended it.",
    risk: "The process may still run on the other machine; it is told to stop when its agent comes back.",
    change: "POST /tasks/ID/cancel: the task ends as cancelled, or as lost once the server gives the agent up.",
  },
  Code {
    code: "R006",
    title: "the next fire of an enabled schedule lies in the past",
    cause: "No server has planned the schedule for more than a minute: the leader is stuck, or a clock was moved.",
    risk: "Instants between that fire and now are skipped; they are not made up for.",
    change: "POST /schedules/NAME/pause, then /resume: the next fire is counted from now.",
  },
  Code {
    code: "R011",
    title: "a retry is overdue",
    cause: "A task waits for its next attempt although that instant passed more than a minute ago.",
    risk: "The task ends without its remaining attempts.",
    change: "POST /tasks/ID/cancel: the task ends as cancelled. Run it again with: hetuflowctl retry ID",
  },
];

/// Codes that are kept for things which nobody looks for here, and why not.
pub const NOT_LOOKED_FOR: [(&str, &str); 6] = [
  ("R001", "an attempt without its task: the API shows attempts by their task only"),
  ("R005", "a namespace of a dead server: in this version no namespace is bound to a server"),
  ("R007", "two fires for one instant: the database refuses the second one"),
  ("R008", "output without its attempt: the API shows output by its attempt only"),
  ("R009", "counters that differ from rows: the API does not show the counters of the store"),
  ("R010", "a flow that has ended and is open: this version has no flows"),
];

/// A code by name.
pub fn find(code: &str) -> Option<&'static Code> {
  CODES.iter().find(|one| one.code.eq_ignore_ascii_case(code))
}
