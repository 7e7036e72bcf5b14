/* The chain of `log.integrity`: each record of a file carries `hash`, HMAC-SHA-256 over the hash before it in the same
 * run and the line up to it, as 64 hexadecimal digits each time. A run's first record also has `prev`, the hash that it
 * follows: the newest that P.head knew when the run began, 64 zeros where there was none. `prev` stands behind `hash`
 * and is what is hashed first, so no octet of a line is outside of the chain.
 *
 * P.head has a slot for each run that writes the file (while one process takes over from the other there are two): its
 * newest seq and hash, with a code of their own, so that nobody without the key turns it back to another record. */
#ifndef COMMON_RECORD_CHAIN_H
#define COMMON_RECORD_CHAIN_H

#include "common/digest/digest.h"
#include "common/record/format.h"

enum { CHAIN_HEX = 2 * DIGEST_SHA256, CHAIN_RUN = 8, CHAIN_TAIL_MAX = 192 };

/* The writing side. */
struct chain {
    struct digest_hmac *hmac;
    char hash[CHAIN_HEX + 1]; /* of the newest record; before the first one, what it follows */
    uint64_t seq;             /* of the newest record; 0: there is none */
};
/* Appends the hash to a line that ends behind its seq, and closes the line, up to CHAIN_TAIL_MAX octets; returns the
 * end. `line` is where it begins. */
char *chain_append(struct chain *c, const struct record_format *format, const char *line, char *end, uint64_t seq);
/* hash = HMAC(before, text); all as text. out has CHAIN_HEX + 1 octets. */
void chain_hash(struct digest_hmac *h, struct span before, struct span text, char *out);
extern const struct span chain_zeros;

/* A line read back, without its line's end: what is hashed, and what is said of it. False: it has no such end. */
struct chain_line {
    struct span text, run, hash, prev; /* prev: empty where it isn't a run's first */
    uint64_t seq;
};
bool chain_line_read(struct chain_line *out, struct span line) MUST_CHECK;

/* A slot of P.head. */
enum { CHAIN_SLOT = 256, CHAIN_SLOTS = 8 };
struct chain_head {
    char run[CHAIN_RUN + 1], hash[CHAIN_HEX + 1];
    uint64_t seq;
    usec_t time; /* when it was written */
};
void chain_head_print(struct digest_hmac *h, const struct chain_head *head, char out[CHAIN_SLOT]);
/* False: nobody with the key has written this. */
bool chain_head_read(struct digest_hmac *h, struct span slot, struct chain_head *out) MUST_CHECK;
/* Nothing was ever in this slot. */
bool chain_slot_empty(struct span slot);

#endif
