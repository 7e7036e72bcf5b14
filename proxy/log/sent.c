/* See sent.h. Lists of numbers are kept in buffers: put at the tail, taken from the head. */
#include "proxy/log/sent.h"

enum { PAST_MIN = 256 * 1024 };

struct sent_piece {
    size_t octets;
    uint64_t end; /* in octets of the connection */
};

void sent_init(struct sent *s)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->data, NULL);
    buf_init(&s->lengths, NULL);
    buf_init(&s->pieces, NULL);
    buf_init(&s->past, NULL);
}

void sent_free(struct sent *s)
{
    buf_free(&s->data);
    buf_free(&s->lengths);
    buf_free(&s->pieces);
    buf_free(&s->past);
}

void sent_put(struct sent *s, struct span line)
{
    uint32_t n = (uint32_t)line.n;
    buf_append_span(&s->data, line);
    buf_append(&s->lengths, &n, sizeof(n));
    s->lines++;
}

void sent_note(struct sent *s, size_t n, uint64_t wire)
{
    struct sent_piece piece = { .octets = n, .end = wire };
    buf_append(&s->pieces, &piece, sizeof(piece));
    s->out += n;
}

static uint32_t first_length(const struct buf *list)
{
    uint32_t n;
    memcpy(&n, list->base + list->head, sizeof(n));
    return n;
}

static void remember(struct sent *s, uint32_t length)
{
    buf_append(&s->past, &length, sizeof(length));
    s->past_octets += length;
    while (!buf_empty(&s->past) && s->past_octets - first_length(&s->past) >= max_size(s->window, PAST_MIN)) {
        s->past_octets -= first_length(&s->past);
        buf_consume(&s->past, sizeof(length));
    }
}

static void ack_pieces(struct sent *s, uint64_t wire)
{
    struct sent_piece piece;
    while (!buf_empty(&s->pieces)) {
        memcpy(&piece, s->pieces.base + s->pieces.head, sizeof(piece));
        size_t left = piece.end > wire ? (size_t)(piece.end - wire) : 0;
        if (left > 0) {
            if (!s->sealed && left < piece.octets) {
                s->acked += piece.octets - left;
                piece.octets = left;
                memcpy(s->pieces.base + s->pieces.head, &piece, sizeof(piece));
            }
            return;
        }
        s->acked += piece.octets;
        buf_consume(&s->pieces, sizeof(piece));
    }
}

void sent_ack(struct sent *s, uint64_t wire, size_t window)
{
    s->window = max_size(s->window, 2 * window);
    ack_pieces(s, wire);
    while (!buf_empty(&s->lengths) && first_length(&s->lengths) <= s->acked) {
        uint32_t n = first_length(&s->lengths);
        buf_consume(&s->lengths, sizeof(n));
        buf_consume(&s->data, n);
        s->acked -= n;
        s->out -= n;
        s->lines--;
        remember(s, n);
    }
}

struct sent_doubt sent_rewind(struct sent *s)
{
    struct sent_doubt doubt = { .risk = buf_len(&s->past) / sizeof(uint32_t) };
    struct span lengths = buf_span(&s->lengths);
    size_t end = 0;
    for (size_t i = 0; i < lengths.n; i += sizeof(uint32_t)) {
        uint32_t n;
        memcpy(&n, lengths.p + i, sizeof(n));
        end += n;
        doubt.again += end <= s->out;
    }
    buf_consume(&s->pieces, buf_len(&s->pieces));
    buf_consume(&s->past, buf_len(&s->past));
    s->acked = s->out = s->past_octets = s->window = 0;
    return doubt;
}
