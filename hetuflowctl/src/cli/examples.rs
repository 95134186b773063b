//! Examples at the end of help pages.

/// `run`.
pub const RUN: &str = "\
Examples:
  hetuflowctl run etl-daily -p day=2026-11-20 --logs
  hetuflowctl run --cmd 'df -h' --wait
  hetuflowctl run etl-daily --in 2h --prio 5";

/// `logs`.
pub const LOGS: &str = "\
Examples:
  hetuflowctl logs -f etl-daily@latest
  hetuflowctl logs etl-daily@failed --tail 50 --stream err
  hetuflowctl logs 7qk2m9xa --grep 'timeout|refused' -C 3";

/// `wait`.
pub const WAIT: &str = "\
Examples:
  hetuflowctl wait etl-daily@latest --timeout 30m
  hetuflowctl run etl-daily --count 20 -o name | hetuflowctl wait -";

/// `apply`.
pub const APPLY: &str = "\
Examples:
  hetuflowctl apply -f jobs/ --dry-run --exit-code
  hetuflowctl apply -f jobs/ --yes
  hetuflowctl apply -f jobs/ --prune --scope team=data
  hetuflowctl job export etl-daily | hetuflowctl -n staging apply -f - --yes";

/// `events`.
pub const EVENTS: &str = "\
Examples:
  hetuflowctl events -f --type 'task.failed,agent.*'
  hetuflowctl events --from-seq 1841 -o jsonl
  hetuflowctl events -f --object job/etl-daily --until type=task.succeeded";

/// `doctor`.
pub const DOCTOR: &str = "\
Examples:
  hetuflowctl doctor
  hetuflowctl doctor --local --strict
  hetuflowctl doctor -o json
  hetuflowctl doctor --bundle report.tar.zst";

/// `task list`.
pub const TASKS: &str = "\
Examples:
  hetuflowctl task list -F 'state=failed since=1h'
  hetuflowctl task list -l tier=gold --sort -age -o name
  hetuflowctl task list -w --until empty -F state=running";

/// `job list`.
pub const JOBS: &str = "\
Examples:
  hetuflowctl job list -F 'name~^etl'
  hetuflowctl job list -o jsonpath='$.name'";

/// `schedule next`.
pub const NEXT: &str = "\
Examples:
  hetuflowctl schedule next etl-daily --count 5
  hetuflowctl schedule next '30 2 * * *' --tz Europe/Berlin --from 2027-03-27";

/// `schedule backfill`.
pub const BACKFILL: &str = "\
Examples:
  hetuflowctl schedule backfill nightly --from 2026-01-01 --to 2026-01-31 --dry-run
  hetuflowctl schedule backfill nightly --from 2026-01-01 --to 2026-01-31 --parallelism 4 --wait
  hetuflowctl schedule backfill nightly --from 2026-01-01 --to 2026-01-31 --only failed --yes";

/// `simulate`.
pub const SIMULATE: &str = "\
Examples:
  hetuflowctl simulate
  hetuflowctl simulate -f jobs/ --for 2d --slots 16
  hetuflowctl simulate --for 7d --seed 2 -o json";
