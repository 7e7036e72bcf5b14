/* What json_str() must write, byte for byte, and what a reader must get back; one character at a time. */
#ifndef TESTS_UNIT_JSON_MODEL_H
#define TESTS_UNIT_JSON_MODEL_H

#include <stdio.h>

#include "common/span.h"
#include "tests/unit/utf8_model.h"

/* Both outputs have room for 6 bytes for each byte of the input, and an end. */
static inline size_t json_model_char(const uint8_t *p, size_t n, char *written, char *repaired)
{
    bool good;
    size_t len = utf8_model(p, n, &good);
    if (!good) {
        strcpy(written, "\xef\xbf\xbd");
        strcpy(repaired, "\xef\xbf\xbd");
        return len;
    }
    memcpy(repaired, p, len);
    repaired[len] = '\0';
    const char *letters = "\"\\\b\f\n\r\t", *names = "\"\\bfnrt", *at = len == 1 && *p ? strchr(letters, *p) : NULL;
    if (at != NULL)
        sprintf(written, "\\%c", names[at - letters]);
    else if (*p < 0x20 || *p == 0x7f)
        sprintf(written, "\\u%04x", *p);
    else if (*p == 0xc2 && p[1] < 0xa0)
        sprintf(written, "\\u%04x", p[1]);
    else if (len == 3 && (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0))
        sprintf(written, "\\u20%02x", p[2] - 0x80);
    else
        strcpy(written, repaired);
    return len;
}

/* Appends to written and repaired at *w and *r. */
static inline void json_model(struct span in, char *written, size_t *w, char *repaired, size_t *r)
{
    for (size_t i = 0; i < in.n;) {
        const uint8_t *p = (const uint8_t *)in.p + i;
        bool zero = *p == 0;
        i += json_model_char(p, in.n - i, written + *w, repaired + *r);
        *w += strlen(written + *w);
        *r += zero ? 1 : strlen(repaired + *r);
    }
}

#endif
