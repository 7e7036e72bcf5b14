/* What a file needs so that records in it outlive the program, or the machine: room secured on the disk before it is
 * wanted, and the writing back of what was written. */
#ifndef PROXY_LOG_DURABLE_H
#define PROXY_LOG_DURABLE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How far the disk is allocated for the file that is open. All zero: nothing is known yet. */
struct durable {
    off_t end;
    bool blind; /* this file system can't secure room */
};

#define DURABLE_ANY LONG_MAX

/* Allocates until `want` octets can be appended, in steps of 1 MiB, without changing the file's size. Returns how many
 * can be: DURABLE_ANY where that can't be known. */
long durable_secure(struct durable *d, int fd, size_t want);
/* Gives back what was allocated behind the file's end; only under its exclusive lock, or another process's lines may be
 * cut off. */
void durable_release(int fd);
/* All that was written is on the disk when these return 0; else an errno. A pipe or a device has nothing to write back.
 */
int durable_sync(int fd);
int durable_sync_directory(const char *file);

#endif
