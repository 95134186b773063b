/* Stands before the C library's clocks in a process of a test. What they show is in a file of three
   numbers: nanoseconds that are added to the wall clock, nanoseconds that are added to the clock since
   boot, and parts per million by which both run too fast from the fourth number on (the true clock since
   boot, in nanoseconds). The clock that timers of a process go by, CLOCK_MONOTONIC, is left alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static const volatile int64_t *clocks;

__attribute__((constructor)) static void open_clocks(void) {
  const char *path = getenv("HETUFLOW_TEST_CLOCKS");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *found = mmap(0, 32, PROT_READ, MAP_SHARED, file, 0);
  if (found != MAP_FAILED) clocks = found;
  close(file);
}

static int64_t true_time(clockid_t id) {
  struct timespec at = {0, 0};
  syscall(SYS_clock_gettime, id, &at);
  return at.tv_sec * SECOND + at.tv_nsec;
}

static int64_t shown(clockid_t id) {
  int64_t at = true_time(id);
  if (!clocks) return at;
  int is_wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
  if (!is_wall && id != CLOCK_BOOTTIME) return at;
  at += clocks[is_wall ? 0 : 1];
  if (clocks[2]) at += (int64_t)((__int128)(true_time(CLOCK_BOOTTIME) - clocks[3]) * clocks[2] / 1000000);
  return at;
}

int clock_gettime(clockid_t id, struct timespec *to) {
  if (syscall(SYS_clock_gettime, id, to)) return -1;
  int64_t at = shown(id);
  to->tv_sec = at / SECOND;
  to->tv_nsec = at % SECOND;
  return 0;
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
  (void)zone;
  int64_t at = shown(CLOCK_REALTIME);
  to->tv_sec = at / SECOND;
  to->tv_usec = at % SECOND / 1000;
  return 0;
}

time_t time(time_t *to) {
  time_t at = shown(CLOCK_REALTIME) / SECOND;
  if (to) *to = at;
  return at;
}
