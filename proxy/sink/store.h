/* Messages as files: DIR/ID.eml has the message's own octets, DIR/ID.json its envelope. The envelope is there first,
 * and both appear under their names when they are whole. */
#ifndef PROXY_SINK_STORE_H
#define PROXY_SINK_STORE_H

#include "common/buf.h"

enum { SINK_ID_MAX = 24 };

/* A message under way. fd -1: none. */
struct sink_file {
    int dir, fd;
    int error; /* an errno: the first that went wrong */
    bool in_line;
    bool raw; /* octets of BDAT: nothing is stuffed */
    char id[SINK_ID_MAX];
    struct buf out;
};

/* A directory that messages can be written to; creates it where it isn't there. -1 with errno. */
int sink_store_open(const char *path);
void sink_file_begin(struct sink_file *f, int dir, const char *id, struct buf_pool *pool);
/* Canonical wire form: CR LF, dots stuffed; or raw. */
void sink_file_add(struct sink_file *f, struct span wire);
/* True: both files are there. False: neither, and error says why. */
bool sink_file_commit(struct sink_file *f, struct span envelope) MUST_CHECK;
/* Nothing of it stays. */
void sink_file_discard(struct sink_file *f);

#endif
