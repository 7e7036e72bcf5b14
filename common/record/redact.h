/* What a log may not show of people (config.md, `log.redact`): a stage between the making of a record and its format,
 * from a record to a record, so that no output gets anything else.
 *
 * An address, an IP address, a name is changed in its own fields, and wherever it stands in text: replies, lines,
 * headers, `msg`. The same value becomes the same again, in all records, with the same key.
 *
 *            addresses                     client_ip, hostname            username, subject
 *   hash     <16 hex digits>@domain        240.0.0.0/4, 3fff::/20;        16 hex digits; a user's name that is an
 *                                          <16 hex digits>.invalid        address: as one
 *   mask     *@domain                      /24, /48; *.example.com        *; *@domain
 *   drop     no field; in text *           no field; in text *            no field; in text *
 *
 * The two networks of hashes belong to nobody (class E; documentation, RFC 9637), and hold addresses of the same family
 * for all who expect one. Queue ids stay, and of a Message-ID all that identifies the message: it loses what is hidden
 * elsewhere in its record.
 *
 * A server's reply may name a mailbox without its domain. The local part of an address of the session is found there as
 * a word of its own, of whatever length, and replaced by what its address has in its place. */
#ifndef COMMON_RECORD_REDACT_H
#define COMMON_RECORD_REDACT_H

#include "common/arena.h"
#include "common/record/record.h"

enum redact_how { REDACT_KEEP, REDACT_HASH, REDACT_MASK, REDACT_DROP };
struct redact_rules {
    enum redact_how addresses, client_ip, username, subject;
};
static inline bool redact_wanted(const struct redact_rules *r)
{
    return r->addresses != REDACT_KEEP || r->client_ip != REDACT_KEEP || r->username != REDACT_KEEP ||
           r->subject != REDACT_KEEP;
}

/* One a thread. key: for `hash`; may be empty where no rule hashes. */
struct redact;
struct redact *redact_new(const struct redact_rules *rules, struct span key) MUST_CHECK;
void redact_free(struct redact **x);
bool redact_hides_addresses(const struct redact *x);
/* The record that may be written; `out` shows memory of `in` and of mem. */
void redact_record(struct redact *x, struct record *out, const struct record *in, struct arena *mem);

#endif
