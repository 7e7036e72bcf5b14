/* UTF-8 by the rows of Unicode's table 3-7, tried one by one: slow, and written differently from the code under test.
 */
#ifndef TESTS_UNIT_UTF8_MODEL_H
#define TESTS_UNIT_UTF8_MODEL_H

#include "common/base.h"

struct utf8_row {
    unsigned len;
    struct {
        uint8_t low, high;
    } byte[4];
};

static const struct utf8_row utf8_rows[] = {
    { 1, { { 0x00, 0x7f } } },
    { 2, { { 0xc2, 0xdf }, { 0x80, 0xbf } } },
    { 3, { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, { 0x80, 0xbf } } },
    { 3, { { 0xe1, 0xec }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
    { 3, { { 0xed, 0xed }, { 0x80, 0x9f }, { 0x80, 0xbf } } },
    { 3, { { 0xee, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
    { 4, { { 0xf0, 0xf0 }, { 0x90, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
    { 4, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
    { 4, { { 0xf4, 0xf4 }, { 0x80, 0x8f }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
};

/* The length of the character at p, or of the maximal ill-formed subsequence there (then *good is false). */
static inline size_t utf8_model(const uint8_t *p, size_t n, bool *good)
{
    size_t longest = 0;
    *good = false;
    for (size_t r = 0; r < ARRAY_LEN(utf8_rows); r++) {
        const struct utf8_row *row = &utf8_rows[r];
        size_t i = 0;
        while (i < row->len && i < n && p[i] >= row->byte[i].low && p[i] <= row->byte[i].high)
            i++;
        longest = max_size(longest, i);
        *good = *good || i == row->len;
    }
    return max_size(longest, 1);
}

#endif
