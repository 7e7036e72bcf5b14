/* The row P.K ... P.2, P.1, P that smtptap rotates a log P through (proxy/log/rotate.c), and the file behind one of it.
 * A rotation may run meanwhile. It moves the oldest file first, so what stood before ours when it was opened is the
 * next one if ours has its number still, and no file came into the numbers between. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/cli/tail.h"

/* A crash, or a rotation that runs, leaves a gap of one; a few more were removed by hand. */
enum { ROW_MAX = 1002, GAP_MAX = 4, TRIES = 100 };

static const char *numbered(const char *path, unsigned number, char name[TAIL_PATH_MAX])
{
    if (number == 0)
        return path;
    return snprintf(name, TAIL_PATH_MAX, "%s.%u", path, number) < TAIL_PATH_MAX ? name : "";
}

static bool look(const char *path, unsigned number, struct stat *st)
{
    char name[TAIL_PATH_MAX];
    return stat(numbered(path, number, name), st) == 0 && S_ISREG(st->st_mode);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Written later than ours was. A file without a name was moved over by the row, so all of equal age are newer. */
static bool is_newer(const struct stat *ours, const struct stat *st)
{
    const struct timespec *a = &ours->st_mtim, *b = &st->st_mtim;
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec;
    return a->tv_nsec < b->tv_nsec || (a->tv_nsec == b->tv_nsec && ours->st_nlink == 0);
}

/* The number behind the one of the file that comes next: that of ours; or, where ours has left the row, behind the
 * oldest one that is newer. 0: ours has the name itself. */
static unsigned find_place(const char *path, const struct stat *ours, bool *in_row)
{
    struct stat st;
    unsigned place = 1;
    *in_row = true;
    if (look(path, 0, &st) && is_same(ours, &st))
        return 0;
    for (unsigned n = 1, gap = 0; n < ROW_MAX && gap < GAP_MAX; n++) {
        bool there = look(path, n, &st);
        gap = there ? 0 : gap + 1;
        if (there && is_same(ours, &st))
            return n;
        if (there && is_newer(ours, &st))
            place = n + 1;
    }
    *in_row = false;
    return place;
}

/* The first file before `place`; *number is its number. -1: there is none. */
static int open_before(const char *path, unsigned place, unsigned *number)
{
    char name[TAIL_PATH_MAX];
    int fd = -1;
    for (*number = place; *number > 0 && fd < 0;) {
        --*number;
        fd = open(numbered(path, *number, name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    return fd;
}

/* Whether nothing has moved since ours was found at `place` and the file at `number` was opened. */
static bool has_stood(const char *path, const struct stat *ours, unsigned place, unsigned number, bool in_row)
{
    struct stat st;
    bool still;
    for (unsigned n = number + 1; n < place; n++) {
        if (look(path, n, &st))
            return false;
    }
    if (in_row)
        return look(path, place, &st) && is_same(ours, &st);
    return find_place(path, ours, &still) == place && !still;
}

static bool has_text(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size > 0;
}

int tail_row_next(const char *path, int fd)
{
    struct stat ours;
    for (int i = 0; i < TRIES; i++) {
        bool in_row;
        unsigned number, place = fstat(fd, &ours) == 0 ? find_place(path, &ours, &in_row) : 0;
        if (place == 0)
            return -1;
        int next = open_before(path, place, &number);
        bool stood = next >= 0 && has_stood(path, &ours, place, number, in_row);
        if (stood && (number > 0 || has_text(next)))
            return next;
        if (next >= 0)
            close(next);
        if (next < 0 || stood)
            return -1;
    }
    return -1;
}
