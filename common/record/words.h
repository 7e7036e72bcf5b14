/* A reply's text as words that can be compared: lower case, without accents, one script like another. */
#ifndef COMMON_RECORD_WORDS_H
#define COMMON_RECORD_WORDS_H

#include "common/span.h"

/* What a word is. Names are the parts of a URL or of a host's name: they say who talks, not why. */
enum word_kind { WORD_PLAIN, WORD_NAME, WORD_ADDRESS, WORD_IP, WORD_STATUS };

struct word {
    struct span text; /* normalised; of WORD_STATUS ".7.1", of an address or an IP nothing */
    enum word_kind kind;
    uint32_t key; /* of the text's first octets, see words_key() */
};

enum { WORDS_OCTETS = 1024, WORDS_MAX = 256 };
struct words {
    struct word word[WORDS_MAX];
    unsigned count;
    size_t read; /* octets of text taken so far, at most WORDS_OCTETS */
    size_t used;
    char buf[2 * WORDS_OCTETS + 8];
};

static inline void words_begin(struct words *w)
{
    w->count = 0;
    w->read = 0;
    w->used = 0;
}
/* Adds the words of a line, up to the limits; what is over them is ignored. w must stay where it is. */
void words_add(struct words *w, struct span line);

/* Equal for words whose first four octets are equal (shorter words: all of them), so that a prefix of four octets or
 * more finds the words that it begins. */
static inline uint32_t words_key(struct span s)
{
    uint32_t k = 0;
    for (size_t i = 0; i < 4 && i < s.n; i++)
        k = k << 8 | (unsigned char)s.p[i];
    return k;
}

#endif
