/* LD_PRELOAD: a disk in trouble. While $TROUBLE/full exists, writes to files below $TROUBLE_DISK fail with ENOSPC;
 * while $TROUBLE/broken exists, fsync and fdatasync of them fail with EIO. $TROUBLE/clock holds the seconds by which the
 * clock of the day is ahead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int on_disk(int fd) {
  const char *disk = getenv("TROUBLE_DISK");
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  return disk && n > 0 && (size_t)n > strlen(disk) && strncmp(path, disk, strlen(disk)) == 0 && path[strlen(disk)] == '/';
}

static int trouble(const char *name, int fd) {
  const char *where = getenv("TROUBLE");
  char flag[PATH_MAX];
  if (!where) return 0;
  snprintf(flag, sizeof flag, "%s/%s", where, name);
  return access(flag, F_OK) == 0 && on_disk(fd);
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
  REAL(pwrite64);
  if (trouble("full", fd)) { errno = ENOSPC; return -1; }
  return real(fd, data, n, at);
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t write(int fd, const void *data, size_t n) {
  REAL(write);
  if (trouble("full", fd)) { errno = ENOSPC; return -1; }
  return real(fd, data, n);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  if (trouble("broken", fd)) { errno = EIO; return -1; }
  return real(fd);
}

int fsync(int fd) {
  REAL(fsync);
  if (trouble("broken", fd)) { errno = EIO; return -1; }
  return real(fd);
}

int clock_gettime(clockid_t which, struct timespec *now) {
  REAL(clock_gettime);
  int done = real(which, now);
  const char *where = getenv("TROUBLE");
  if (done == 0 && where && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
    char path[PATH_MAX], text[32];
    snprintf(path, sizeof path, "%s/clock", where);
    FILE *file = fopen(path, "r");
    if (file) {
      if (fgets(text, sizeof text, file)) now->tv_sec += atol(text);
      fclose(file);
    }
  }
  return done;
}
