//! Calls of the system without the library, whose own leave the last error where a thread keeps it.

#![expect(unsafe_code, reason = "a call of the system is no other")]

use libc::c_long;

/// Whether a call touches nothing but what it is given.
pub(super) const CALLS_ARE_BARE: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Asks the kernel; a negative answer is the number of an error.
///
/// # Safety
/// As the call itself: what is given as an address leads to what the kernel expects there.
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn bare_call(number: c_long, [a, b, c, d]: [usize; 4]) -> isize {
  let told: isize;
  // SAFETY: the kernel's own rules for a call: it changes these registers and what it is told to.
  unsafe {
    std::arch::asm!(
      "syscall",
      inlateout("rax") number as isize => told,
      in("rdi") a,
      in("rsi") b,
      in("rdx") c,
      in("r10") d,
      lateout("rcx") _,
      lateout("r11") _,
      options(nostack),
    );
  }
  told
}

/// As above.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
pub(super) unsafe fn bare_call(number: c_long, [a, b, c, d]: [usize; 4]) -> isize {
  let told: isize;
  // SAFETY: the kernel's own rules for a call: it changes this register and what it is told to.
  unsafe {
    std::arch::asm!(
      "svc 0",
      in("x8") number,
      inlateout("x0") a => told,
      in("x1") b,
      in("x2") c,
      in("x3") d,
      options(nostack),
    );
  }
  told
}

/// As above, by the library.
///
/// # Safety
/// As above.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) unsafe fn bare_call(number: c_long, [a, b, c, d]: [usize; 4]) -> isize {
  // SAFETY: as the caller has promised.
  match unsafe { libc::syscall(number, a, b, c, d) } {
    -1 => {
      let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
      -isize::try_from(errno).unwrap_or(1)
    }
    told => told as isize,
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn it_answers_as_the_library_does() {
    // SAFETY: neither takes an address.
    let (own, none) = unsafe {
      (bare_call(libc::SYS_getpid, [0; 4]), bare_call(libc::SYS_close, [usize::MAX, 0, 0, 0]))
    };
    assert_eq!(u32::try_from(own), Ok(std::process::id()));
    assert_eq!(none, -isize::try_from(libc::EBADF).expect("small"));
  }
}
