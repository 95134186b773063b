//! The moment between two programs: a child that has our memory until its own program is loaded.
//!
//! The library's way is `vfork`: the thread that makes a child sleeps until then, and is woken in the
//! middle of what the child has just begun. Here both go on (decision 0035): the child has a stack of its
//! own, reads what was laid down for it, and the kernel says when it has let go of that. The handle by which
//! its end is seen comes with it, so there is no moment in which a process runs and cannot be watched.

#![expect(unsafe_code, reason = "a child that shares our memory cannot be had otherwise")]

use std::cell::RefCell;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::futex;

use super::bare_call::{CALLS_ARE_BARE, bare_call};
use super::words::{Words, last_of_each};

/// Memory for what the child calls: the system's functions and nothing else.
const STACK_BYTES: usize = 32 << 10;
/// Signals that this program handles or ignores. A handler must not run in a child, which would do to
/// our memory what only we should; and what is ignored would stay so in the program that is loaded.
const SIGNALS: [c_int; 8] = [
  libc::SIGHUP,
  libc::SIGINT,
  libc::SIGQUIT,
  libc::SIGTERM,
  libc::SIGUSR1,
  libc::SIGUSR2,
  libc::SIGCHLD,
  libc::SIGPIPE,
];

/// A program to load, and what it starts with.
#[derive(Debug)]
pub(super) struct Program<'a> {
  /// Its file.
  pub(super) file: &'a Path,
  /// The name that it sees as its own.
  pub(super) name: &'a OsStr,
  /// Its arguments.
  pub(super) args: &'a [OsString],
  /// Its whole environment; later entries stand in place of earlier ones.
  pub(super) environment: &'a [(OsString, OsString)],
  /// Where it runs.
  pub(super) directory: &'a Path,
}

/// Why there is no child.
#[derive(Debug)]
pub(super) struct Unborn {
  /// The step that failed.
  pub(super) step: Step,
  /// What the system said.
  pub(super) source: io::Error,
}

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
  /// To come into being, in a group of its own and with its standard files.
  Birth,
  /// To go where it runs.
  Directory,
  /// To load its program.
  Program,
}

impl Unborn {
  pub(super) fn at_birth(source: impl Into<io::Error>) -> Self {
    Self { step: Step::Birth, source: source.into() }
  }
}

/// What the child reads, and where it says what went wrong.
struct Orders {
  file: *const c_char,
  args: *const *const c_char,
  environment: *const *const c_char,
  directory: *const c_char,
  stdio: [c_int; 3],
  failed_step: AtomicI32,
  errno: AtomicI32,
  /// Not zero for as long as the child has our memory; the kernel sets it to zero and wakes who waits.
  holds: AtomicU32,
}

impl Orders {
  /// The last words of a child; `told` is what the kernel has said.
  fn fail(&self, step: Step, told: isize) -> c_int {
    let errno = told.checked_neg().and_then(|errno| c_int::try_from(errno).ok());
    self.failed_step.store(step as i32, Ordering::Relaxed);
    self.errno.store(errno.unwrap_or(libc::EINVAL), Ordering::Relaxed);
    127
  }
}

/// All signals wait while this lives; a child begins like that, too.
struct Quiet(libc::sigset_t);

impl Quiet {
  fn begin() -> Self {
    // SAFETY: both sets are ours and whole, and the mask is this thread's own.
    unsafe {
      let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
      libc::sigfillset(&raw mut all);
      libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
      Self(before)
    }
  }
}

impl Drop for Quiet {
  fn drop(&mut self) {
    // SAFETY: as above; what was before is a whole set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, null_mut()) };
  }
}

thread_local! {
  /// Stacks that no child has any more; a thread rarely needs a second one.
  static STACKS: RefCell<Vec<Stack>> = const { RefCell::new(Vec::new()) };
}

/// Its alignment is what the system asks for.
type Stack = Vec<u128>;

/// A child that has our memory until its program is loaded, and what it has of it. Dropping this waits
/// for that.
///
/// It is held by its address: for as long as the child has it, it is not ours alone.
#[derive(Debug)]
pub(super) struct Loading(NonNull<Laid>);

/// What was laid down for a child: it stays where it is.
struct Laid {
  orders: Orders,
  stack: Stack,
  _words: (CString, CString, Words, Words),
  _lists: (Vec<*const c_char>, Vec<*const c_char>),
}

// SAFETY: what it leads to is its own, down to the last pointer, and nobody writes to it but the child, which
// writes what is atomic.
unsafe impl Send for Loading {}

impl Loading {
  /// Waits until the program is loaded.
  ///
  /// # Errors
  /// [`Unborn`]: the child has ended, or is about to; nobody has reaped it.
  pub(super) fn wait(self) -> Result<(), Unborn> {
    let orders = self.orders();
    self.wait_for_memory();
    match orders.errno.load(Ordering::Relaxed) {
      0 => Ok(()),
      errno => {
        let failed_step = orders.failed_step.load(Ordering::Relaxed);
        let steps = [Step::Directory, Step::Program];
        let step = steps.into_iter().find(|step| *step as i32 == failed_step);
        let source = io::Error::from_raw_os_error(errno);
        Err(Unborn { step: step.unwrap_or(Step::Birth), source })
      }
    }
  }

  fn orders(&self) -> &Orders {
    // SAFETY: it is freed when this is dropped and no earlier, and the child changes only what is atomic.
    unsafe { &(*self.0.as_ptr()).orders }
  }

  fn wait_for_memory(&self) {
    let holds = &self.orders().holds;
    loop {
      match holds.load(Ordering::Acquire) {
        0 => return,
        // It wakes whoever has the memory, not this process alone, so it is no private one. An interrupted
        // wait is one more look.
        value => _ = futex::wait(holds, futex::Flags::empty(), value, None),
      }
    }
  }
}

impl Drop for Loading {
  fn drop(&mut self) {
    self.wait_for_memory();
    // SAFETY: it came out of a box, and the child has let go of it.
    let mut laid = unsafe { Box::from_raw(self.0.as_ptr()) };
    let stack = std::mem::take(&mut laid.stack);
    // At the end of a thread there is nowhere to put it.
    let _kept = STACKS.try_with(|stacks| stacks.borrow_mut().push(stack));
  }
}

/// Makes a child with these for its standard input, output and error, and does not wait until its program
/// is loaded: its number, the handle by which its end is seen, and what tells whether it was.
///
/// # Errors
/// [`Unborn`]; then there is no child.
pub(super) fn begin(
  program: &Program<'_>,
  stdio: [BorrowedFd<'_>; 3],
) -> Result<(Pid, OwnedFd, Loading), Unborn> {
  let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(Unborn::at_birth);
  let (file, directory) =
    (c_string(program.file.as_os_str())?, c_string(program.directory.as_os_str())?);
  let length = |text: &OsString| text.len();
  let bytes = program.name.len() + program.args.iter().map(length).sum::<usize>();
  let mut args = Words::with_capacity(program.args.len() + 1, bytes);
  args.add(&[program.name]).map_err(Unborn::at_birth)?;
  for arg in program.args {
    args.add(&[arg]).map_err(Unborn::at_birth)?;
  }
  let pairs = program.environment;
  let bytes = pairs.iter().map(|(name, value)| name.len() + 1 + value.len()).sum();
  let mut environment = Words::with_capacity(pairs.len(), bytes);
  for (name, value) in last_of_each(pairs) {
    environment.add(&[name, OsStr::new("="), value]).map_err(Unborn::at_birth)?;
  }
  let (arg_list, environment_list) = (args.pointers(), environment.pointers());
  let mut stack = STACKS.with_borrow_mut(Vec::pop).unwrap_or_default();
  stack.resize(STACK_BYTES / size_of::<u128>(), 0);
  let laid = Box::new(Laid {
    orders: Orders {
      file: file.as_ptr(),
      args: arg_list.as_ptr(),
      environment: environment_list.as_ptr(),
      directory: directory.as_ptr(),
      stdio: stdio.map(|fd| fd.as_raw_fd()),
      failed_step: AtomicI32::new(0),
      errno: AtomicI32::new(0),
      holds: AtomicU32::new(1),
    },
    stack,
    _words: (file, directory, args, environment),
    _lists: (arg_list, environment_list),
  });
  let (pid, handle, loading) = split(laid).map_err(Unborn::at_birth)?;
  let Some(handle) = handle else {
    // It runs, and nobody could hear of its end.
    let _gone = kill_process(pid, Signal::KILL);
    let _reaped = waitpid(Some(pid), WaitOptions::empty());
    let why = "the kernel is older than 5.3: it gives no handle of a process";
    return Err(Unborn::at_birth(io::Error::other(why)));
  };
  Ok((pid, handle, loading))
}

/// The child has our memory and a stack of its own, and goes its own way.
fn split(laid: Box<Laid>) -> io::Result<(Pid, Option<OwnedFd>, Loading)> {
  let mut flags = libc::CLONE_VM | libc::CLONE_PIDFD | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD;
  if !CALLS_ARE_BARE {
    // The library's calls leave their errors in a place that we share: we stand still meanwhile.
    flags |= libc::CLONE_VFORK;
  }
  let mut handle: c_int = -1;
  let loading = Loading(NonNull::from(Box::leak(laid)));
  let laid = loading.0.as_ptr();
  let quiet = Quiet::begin();
  // SAFETY: the stack is aligned, large enough for what `become_program` calls, and nobody else's
  // until the child has let go of it; the orders and what they point to live in the same box, which
  // `Loading` keeps until then; with the flag for a handle the first pointer behind the argument is where
  // it is written; the last one is the word that the kernel clears.
  let pid = unsafe {
    let top = (*laid).stack.as_mut_ptr_range().end;
    libc::clone(
      become_program,
      top.cast(),
      flags,
      (&raw mut (*laid).orders).cast::<c_void>(),
      &raw mut handle,
      null_mut::<c_void>(),
      (&raw const (*laid).orders.holds).cast::<c_int>().cast_mut(),
    )
  };
  let error = io::Error::last_os_error();
  drop(quiet);
  // The library takes no negative number for a process.
  let Some(pid) = Pid::from_raw(pid.max(0)) else {
    loading.orders().holds.store(0, Ordering::Relaxed);
    return Err(error);
  };
  // SAFETY: the kernel has just made it for us.
  Ok((pid, (handle >= 0).then(|| unsafe { OwnedFd::from_raw_fd(handle) }), loading))
}

/// The life of a child before its program: calls of the system, one after the other, and nothing that
/// allocates, locks or panics, or touches what belongs to a thread of ours: all of them go on meanwhile.
extern "C" fn become_program(orders: *mut c_void) -> c_int {
  /// The kernel's own form of a signal's action, whatever the processor: all zeros is the default.
  const DEFAULT: [u64; 4] = [0; 4];
  /// Bytes of its set of signals.
  const SET_BYTES: usize = size_of::<u64>();
  let none = 0_u64;
  // SAFETY: what the orders point to stays until the kernel says that we have let go of it, and all pointers
  // of these calls lead to whole values of the kernel's own form.
  unsafe {
    let orders = &*orders.cast::<Orders>();
    for signal in SIGNALS {
      let default = DEFAULT.as_ptr() as usize;
      bare_call(libc::SYS_rt_sigaction, [signal as usize, default, 0, SET_BYTES]);
    }
    let told = bare_call(libc::SYS_setpgid, [0; 4]);
    if told != 0 {
      return orders.fail(Step::Birth, told);
    }
    for (place, fd) in (0_usize..).zip(orders.stdio) {
      // A copy is not closed when the program is loaded.
      let told = bare_call(libc::SYS_dup3, [fd as usize, place, 0, 0]);
      if told < 0 {
        return orders.fail(Step::Birth, told);
      }
    }
    let told = bare_call(libc::SYS_chdir, [orders.directory as usize, 0, 0, 0]);
    if told != 0 {
      return orders.fail(Step::Directory, told);
    }
    let mask = (&raw const none) as usize;
    bare_call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, mask, 0, SET_BYTES]);
    let (file, args) = (orders.file as usize, orders.args as usize);
    let told = bare_call(libc::SYS_execve, [file, args, orders.environment as usize, 0]);
    orders.fail(Step::Program, told)
  }
}

#[cfg(test)]
mod tests {
  use std::io::Read;
  use std::os::fd::AsFd;

  use rustix::pipe::{PipeFlags, pipe_with};

  use super::*;

  fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
  }

  /// Runs it to its end: what it has written, and its exit code.
  fn run(
    file: &str,
    args: &[&str],
    directory: &str,
    environment: &[(&str, &str)],
  ) -> Result<(String, Option<i32>), Unborn> {
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let program = Program {
      file: Path::new(file),
      name: OsStr::new("called"),
      args: &args,
      environment: &pairs(environment),
      directory: Path::new(directory),
    };
    let stdio = [null.as_fd(), writer.as_fd(), writer.as_fd()];
    let (pid, _handle, loading) = begin(&program, stdio)?;
    drop(writer);
    let mut text = String::new();
    std::fs::File::from(reader).read_to_string(&mut text).expect("text");
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("ours").expect("ended");
    loading.wait()?;
    Ok((text, status.exit_status()))
  }

  #[test]
  fn a_program_gets_its_words_its_place_and_nothing_else() {
    let script = "echo $0 $1 $PWD; env | grep -v ^_=; exit 3";
    let environment = [("B", "old"), ("A", "a=b"), ("B", "new"), ("C", "")];
    let (text, code) =
      run("/bin/sh", &["-c", script, "zero", "one two"], "/tmp", &environment).expect("a shell");
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.remove(0), "zero one two /tmp");
    lines.sort_unstable();
    assert_eq!(lines, ["A=a=b", "B=new", "C=", "PWD=/tmp"]);
    assert_eq!(code, Some(3));
  }

  #[test]
  fn it_leads_a_group_and_no_signal_is_held_back_or_ignored() {
    let (text, _) = run("/bin/sh", &["-c", "cat /proc/self/status"], "/", &[]).expect("a shell");
    let field = |text: &str, name: &str| {
      let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
      u64::from_str_radix(line.trim(), 16).expect("a number")
    };
    let own = std::fs::read_to_string("/proc/self/status").expect("text");
    assert_eq!(field(&text, "SigBlk:"), 0);
    // What our own parent ignores is not ours to change, but for the signals that are ours.
    let ours = SIGNALS.iter().fold(0, |mask, signal| mask | 1 << (signal - 1));
    assert_ne!(field(&own, "SigIgn:") & ours, 0, "the library has set one");
    assert_eq!(field(&text, "SigIgn:"), field(&own, "SigIgn:") & !ours);
    let (text, _) = run(
      "/bin/sh",
      &["-c", "read -r a b c d group rest < /proc/$$/stat; echo $$ $group"],
      "/",
      &[],
    )
    .expect("a shell");
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words[0], words[1]);
    // As the executor does it at its own start.
    crate::process::keep_inherited_back().expect("marked");
    let (text, _) = run("/bin/sh", &["-c", "ls /proc/$$/fd"], "/", &[]).expect("a shell");
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2"], "no file of ours");
  }

  #[test]
  fn who_is_not_born_says_why_and_leaves_nothing() {
    let errno = |unborn: &Unborn| unborn.source.raw_os_error();
    let missing = run("/no/such/program", &[], "/", &[]).expect_err("no program");
    assert_eq!((missing.step, errno(&missing)), (Step::Program, Some(libc::ENOENT)));
    let nowhere = run("/bin/true", &[], "/no/such/folder", &[]).expect_err("no folder");
    assert_eq!((nowhere.step, errno(&nowhere)), (Step::Directory, Some(libc::ENOENT)));
    let folder = run("/tmp", &[], "/", &[]).expect_err("no program");
    assert_eq!((folder.step, errno(&folder)), (Step::Program, Some(libc::EACCES)));
    let long = "x".repeat(4 << 20);
    let large = run("/bin/true", &[&long], "/", &[]).expect_err("too long");
    assert_eq!((large.step, errno(&large)), (Step::Program, Some(libc::E2BIG)));
    let odd = run("/bin/true", &["a\0b"], "/", &[]).expect_err("a NUL");
    assert_eq!(odd.step, Step::Birth);
  }

  #[test]
  fn what_a_child_reads_stays_until_it_has_read_it() {
    let null = OwnedFd::from(std::fs::File::open("/dev/null").expect("a device"));
    let environment = pairs(&[("A", "b")]);
    let long = [OsString::from("x".repeat(100_000))];
    let all: Vec<_> = (0..300)
      .map(|number| {
        let program = Program {
          file: Path::new(if number % 3 == 0 { "/no/such/program" } else { "/bin/true" }),
          name: OsStr::new("true"),
          args: &long,
          environment: &environment,
          directory: Path::new("/"),
        };
        let (pid, _handle, loading) = begin(&program, [null.as_fd(); 3]).expect("a child");
        match number % 2 {
          // Dropped at once: it must not be gone before the child is done with it.
          0 => drop(loading),
          _ => assert_eq!(loading.wait().is_err(), number % 3 == 0),
        }
        (number, pid)
      })
      .collect();
    for (number, pid) in all {
      let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("ours").expect("ended");
      assert_eq!(status.exit_status(), Some(if number % 3 == 0 { 127 } else { 0 }));
    }
  }
}
