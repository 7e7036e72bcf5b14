/* A server may repeat the line that it didn't like. The text goes to the client as it is; the log must not have it. */
#include "common/smtp/secret.h"

#include <stdio.h>

#include "common/codec.h"
#include "common/smtp/sasl.h"

/* Shorter parts would be found in any text. Of what was sent as base64 a server may show a piece only. */
enum { PART_MIN = 3, PIECE = 12, WORD_PIECE = 6 };

static bool has(struct span text, struct span part)
{
    return part.n >= PART_MIN && text.n >= part.n && memmem(text.p, text.n, part.p, part.n) != NULL;
}

static bool has_piece(struct span text, struct span response)
{
    for (size_t i = 0; i + PIECE <= response.n; i += PIECE) {
        if (has(text, span_of(response.p + i, PIECE)))
            return true;
    }
    return has(text, response);
}

/* Of a password too, a piece may be shown, or one on each of two lines. */
static bool has_word_piece(struct span text, struct span word)
{
    for (size_t i = 0; i + WORD_PIECE <= word.n; i += WORD_PIECE / 2) {
        if (has(text, span_of(word.p + i, WORD_PIECE)))
            return true;
    }
    return has(text, word);
}

/* The password stands last in its message, and behind a blank if there is one. */
static struct span password_of(struct span message)
{
    while (message.n > 0 && (unsigned char)message.p[message.n - 1] <= ' ')
        message.n--;
    size_t begin = message.n;
    while (begin > 0 && (unsigned char)message.p[begin - 1] > ' ')
        begin--;
    return span_skip(message, begin);
}

/* The parts between NUL and the control bytes that SASL messages use as separators. */
static bool has_part(struct span text, struct span message)
{
    size_t begin = 0;
    for (size_t i = 0; i <= message.n; i++) {
        if (i < message.n && (unsigned char)message.p[i] >= ' ')
            continue;
        if (has(text, span_of(message.p + begin, i - begin)))
            return true;
        begin = i + 1;
    }
    return false;
}

bool smtp_reply_echoes(const struct smtp_reply *reply, struct span response)
{
    struct buf message;
    if (response.n < PART_MIN)
        return false;
    if (has_piece(reply->wire, response))
        return true;
    buf_init(&message, NULL);
    bool found =
        codec_base64_decode(&message, response) &&
        (has_part(reply->wire, buf_span(&message)) || has_word_piece(reply->wire, password_of(buf_span(&message))));
    sasl_buf_free(&message);
    return found;
}

bool smtp_reply_tells(const struct smtp_reply *reply, struct span secret)
{
    struct buf text;
    if (has_word_piece(reply->wire, secret))
        return true;
    buf_init(&text, NULL);
    codec_base64_encode(&text, secret);
    bool found = has_piece(reply->wire, buf_span(&text));
    sasl_buf_free(&text);
    return found;
}

struct smtp_reply smtp_reply_hidden(const struct smtp_reply *reply, char out[SMTP_HIDDEN_LEN])
{
    const char *blank = reply->enhanced[0] != '\0' ? " " : "";
    int n = snprintf(out, SMTP_HIDDEN_LEN, "%d %s%s*\r\n", reply->code, reply->enhanced, blank);
    return smtp_reply_read(span_of(out, (size_t)n));
}
