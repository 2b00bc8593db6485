/* LD_PRELOAD: a disk that forgets what was not synced. Every write goes through as usual, but a second copy of
 * each file below $UNSYNCED_LIVE is kept below $UNSYNCED_DISK and receives only what fsync or fdatasync covered.
 * A file that another descriptor synced, and then the directory of its name, is there under that name.
 * After kill -9 the copy is what a power loss would have left. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 1024
struct range { off_t start, end; };
static struct { struct range *ranges; size_t count, room; } dirty[FILES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *live_name(int fd, char *path) {
  const char *live = getenv("UNSYNCED_LIVE");
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, PATH_MAX - 1);
  if (!live || n <= 0) return NULL;
  path[n] = 0;
  size_t l = strlen(live);
  return strncmp(path, live, l) == 0 && path[l] == '/' ? path + l : NULL;
}

static void note(int fd, off_t start, size_t length) {
  char path[PATH_MAX];
  if (fd < 0 || fd >= FILES || !live_name(fd, path)) return;
  pthread_mutex_lock(&lock);
  if (dirty[fd].count == dirty[fd].room) {
    dirty[fd].room = dirty[fd].room ? dirty[fd].room * 2 : 64;
    dirty[fd].ranges = realloc(dirty[fd].ranges, dirty[fd].room * sizeof(struct range));
  }
  dirty[fd].ranges[dirty[fd].count++] = (struct range){start, start + (off_t)length};
  pthread_mutex_unlock(&lock);
}

#define WHOLE 65536
static ino_t whole[WHOLE]; /* files that were synced as a whole, by whichever descriptor */
static size_t wholes;

static void copy(const char *from, const char *to) {
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  char block[1 << 16];
  for (size_t n; in && out && (n = fread(block, 1, sizeof block, in)) > 0;) fwrite(block, 1, n, out);
  if (in) fclose(in);
  if (out) fclose(out);
}

/* The names in a directory are durable; what is in their files only where that was synced. */
static void harden_names(const char *path, const char *disk) {
  mkdir(disk, 0700);
  DIR *names = opendir(path);
  for (struct dirent *name; names && (name = readdir(names));) {
    char live[PATH_MAX * 2], there[PATH_MAX * 2];
    struct stat is;
    snprintf(live, sizeof live, "%s/%s", path, name->d_name);
    snprintf(there, sizeof there, "%s/%s", disk, name->d_name);
    if (name->d_name[0] == '.' || stat(live, &is) != 0) continue;
    if (S_ISDIR(is.st_mode)) mkdir(there, 0700);
    for (size_t i = 0; i < wholes; i++)
      if (whole[i] == is.st_ino) { copy(live, there); break; }
  }
  if (names) closedir(names);
}

static void harden(int fd) {
  char path[PATH_MAX], disk[PATH_MAX];
  const char *name, *root = getenv("UNSYNCED_DISK");
  if (fd < 0 || fd >= FILES || !root || !(name = live_name(fd, path))) return;
  snprintf(disk, sizeof disk, "%s%s", root, name);
  struct stat is;
  if (fstat(fd, &is) == 0 && (S_ISDIR(is.st_mode) || strncmp(name, "/spool/", 7) == 0)) {
    pthread_mutex_lock(&lock);
    if (S_ISDIR(is.st_mode)) harden_names(path, disk);
    else if (wholes < WHOLE) whole[wholes++] = is.st_ino;
    dirty[fd].count = 0;
    pthread_mutex_unlock(&lock);
    return;
  }
  static ssize_t (*write_real)(int, const void *, size_t, off_t);
  static int (*open_real)(const char *, int, ...);
  if (!write_real) write_real = dlsym(RTLD_NEXT, "pwrite64");
  if (!open_real) open_real = dlsym(RTLD_NEXT, "open64");
  pthread_mutex_lock(&lock);
  int from = open_real(path, O_RDONLY), to = open_real(disk, O_WRONLY | O_CREAT, 0600);
  static char block[1 << 16];
  for (size_t i = 0; from >= 0 && to >= 0 && i < dirty[fd].count; i++)
    for (off_t at = dirty[fd].ranges[i].start; at < dirty[fd].ranges[i].end;) {
      size_t want = (size_t)(dirty[fd].ranges[i].end - at);
      ssize_t got = pread(from, block, want < sizeof block ? want : sizeof block, at);
      if (got <= 0 || write_real(to, block, (size_t)got, at) != got) break;
      at += got;
    }
  struct stat now;
  if (to >= 0 && fstat(fd, &now) == 0) { struct stat then; if (fstat(to, &then) == 0 && then.st_size > now.st_size) (void)!ftruncate(to, now.st_size); }
  if (from >= 0) close(from);
  if (to >= 0) close(to);
  dirty[fd].count = 0;
  pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) {
  static ssize_t (*real)(int, const void *, size_t, off_t);
  if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
  ssize_t done = real(fd, data, n, at);
  if (done > 0) note(fd, at, (size_t)done);
  return done;
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }

ssize_t write(int fd, const void *data, size_t n) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real(fd, data, n);
  if (done > 0 && at >= 0) note(fd, at, (size_t)done);
  return done;
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
  int result = real(fd);
  if (result == 0) harden(fd);
  return result;
}
int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  int result = real(fd);
  if (result == 0) harden(fd);
  return result;
}

int unlink(const char *path) {
  static int (*real)(const char *);
  if (!real) real = dlsym(RTLD_NEXT, "unlink");
  const char *live = getenv("UNSYNCED_LIVE"), *root = getenv("UNSYNCED_DISK");
  if (live && root && strncmp(path, live, strlen(live)) == 0) {
    char disk[PATH_MAX];
    snprintf(disk, sizeof disk, "%s%s", root, path + strlen(live));
    real(disk);
  }
  return real(path);
}
