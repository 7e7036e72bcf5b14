/* Each step is one rename() to a name that is free, but for the last one of a full row, which replaces the oldest. The
 * oldest moves first, so that a crash between two steps leaves a gap in the numbers and nothing else; the next time
 * only what stands before the gap is moved. */
#include "proxy/log/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Number 0 is P itself. Owned by the caller. */
static char *numbered(const char *path, unsigned number)
{
    char *name;
    if ((number > 0 ? asprintf(&name, "%s.%u", path, number) : asprintf(&name, "%s", path)) < 0)
        abort();
    return name;
}

static bool is_there(const char *path, unsigned number)
{
    char *name = numbered(path, number);
    bool there = faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
    free(name);
    return there;
}

static int move_file(const char *path, unsigned from, unsigned to)
{
    char *old = numbered(path, from), *new = numbered(path, to);
    int error = rename(old, new) == 0 ? 0 : errno;
    free(old);
    free(new);
    return error;
}

int rotate_shift(const char *path, unsigned keep)
{
    unsigned gap = 1;
    int error = 0;
    while (gap < keep && is_there(path, gap))
        gap++;
    for (unsigned to = gap; to > 0 && error == 0; to--)
        error = move_file(path, to - 1, to);
    return error;
}

int rotate_undo(const char *path) { return is_there(path, 0) ? EEXIST : move_file(path, 1, 0); }
