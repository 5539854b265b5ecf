/* What a test does to the disk and to the clock of whatever is started with this in LD_PRELOAD. The
   lever is a file of eight numbers that both share: three count, the others are set by the test. The
   disk is the log's: each sync of its journal is a commit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct lever {
    int64_t writes;     /* of the journal, so far */
    int64_t syncs;      /* of the journal, so far */
    int64_t die_write;  /* dies before the write of this number; each of the three once, then it is 0 */
    int64_t die_sync;   /* dies after the sync of this number */
    int64_t fail_sync;  /* the sync of this number fails */
    int64_t full;       /* no space is left in the state directory */
    int64_t leap;       /* seconds by which the clock on the wall was set */
    int64_t struck;     /* how often one of them did something */
};

static volatile struct lever *lever(void) {
    static volatile struct lever *shared;
    static int looked;
    if (!looked) {
        const char *name = getenv("MATRIX_LEVER");
        int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
        void *at = MAP_FAILED;
        if (file >= 0) at = mmap(0, sizeof(struct lever), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (file >= 0) close(file);
        if (at != MAP_FAILED) shared = at;
        looked = 1;
    }
    return shared;
}

static int path_of(int file, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int ends(const char *text, const char *end) {
    size_t all = strlen(text), part = strlen(end);
    return all >= part && strcmp(text + all - part, end) == 0;
}

/* Set while we went on, a number may be behind us. */
static int is_due(volatile int64_t *at, int64_t number) {
    int64_t armed = *at;
    return armed && number >= armed && __sync_bool_compare_and_swap(at, armed, 0);
}

static void dies(volatile struct lever *it) {
    __sync_fetch_and_add(&it->struck, 1);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

/* Whether there is space for it; does not come back where the process is to die. */
static int may_write(int file) {
    volatile struct lever *it = lever();
    char path[4096];
    if (!it || !path_of(file, path, sizeof path)) return 1;
    if (it->full && strstr(path, "/state/")) {
        __sync_fetch_and_add(&it->struck, 1);
        return 0;
    }
    if (ends(path, "tminus.db-wal")) {
        int64_t number = __sync_add_and_fetch(&it->writes, 1);
        if (is_due(&it->die_write, number)) dies(it);
    }
    return 1;
}

ssize_t write(int file, const void *from, size_t count) {
    if (!may_write(file)) return errno = ENOSPC, -1;
    return syscall(SYS_write, file, from, count);
}

ssize_t pwrite64(int file, const void *from, size_t count, off64_t at) {
    if (!may_write(file)) return errno = ENOSPC, -1;
    return syscall(SYS_pwrite64, file, from, count, at);
}

ssize_t pwrite(int file, const void *from, size_t count, off_t at) {
    return pwrite64(file, from, count, at);
}

static int synced(long how, int file) {
    volatile struct lever *it = lever();
    char path[4096];
    if (!it || !path_of(file, path, sizeof path) || !ends(path, "tminus.db-wal"))
        return syscall(how, file);
    int64_t number = __sync_add_and_fetch(&it->syncs, 1);
    if (is_due(&it->fail_sync, number)) {
        __sync_fetch_and_add(&it->struck, 1);
        return errno = EIO, -1;
    }
    int done = syscall(how, file);
    if (is_due(&it->die_sync, number)) dies(it);
    return done;
}

int fdatasync(int file) {
    return synced(SYS_fdatasync, file);
}

int fsync(int file) {
    return synced(SYS_fsync, file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int told = next(clock, now);
    volatile struct lever *it = clock == CLOCK_REALTIME ? lever() : 0;
    if (it) now->tv_sec += it->leap;
    return told;
}
