/* By which names a server's texts may call the mailboxes of a session: "User bob not found" tells of bob@example.com.
 * For redaction alone. */
#ifndef COMMON_RECORD_MAILBOXES_H
#define COMMON_RECORD_MAILBOXES_H

#include "common/span.h"

/* address: as it was given; name: its local part, or what of it names the mailbox. */
struct mailbox {
    struct span address, name;
    uint32_t hash;
    unsigned next; /* with the same end of the hash; index + 1 */
};

struct mailboxes;
struct mailboxes *mailboxes_new(void) MUST_CHECK;
void mailboxes_free(struct mailboxes **m);
/* Names, not addresses: most have one. */
unsigned mailboxes_count(const struct mailboxes *m);
void mailboxes_clear(struct mailboxes *m);
/* The address is borrowed, or with `keep` copied. One that is known already is not added again. */
void mailboxes_add(struct mailboxes *m, struct span address);
void mailboxes_keep(struct mailboxes *m, struct span address);
/* The mailbox whose name stands at `at` in text as a word, in any case: no letter or digit before it or behind it. The
 * longest name goes first, then who was added last. NULL: none. m may be NULL. */
const struct mailbox *mailboxes_find(const struct mailboxes *m, struct span text, size_t at);

#endif
