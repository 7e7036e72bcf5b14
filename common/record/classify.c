/* Why a reply refused. Three witnesses are heard: the text (classify_rules.h), the enhanced code (RFC 3463 and the
 * registry, with the large hosters' own numbers), and the code with the command that it answers. Each names a class
 * and a rank; the highest rank wins, and the text wins a draw, since codes are often chosen carelessly. */
#include "common/record/classify.h"
#include "common/record/phrases.h"

struct status_rule {
    int subject, from, to; /* X.subject.from to X.subject.to */
    enum reply_class class;
    int rank;
};

/* The first row that fits counts. */
static const struct status_rule status_rules[] = {
    { 1, 1, 1, CLASS_UNKNOWN_USER, 6 },
    { 1, 2, 2, CLASS_NETWORK, 6 },
    { 1, 3, 3, CLASS_PROTOCOL, 6 },
    { 1, 4, 4, CLASS_UNKNOWN_USER, 6 },
    { 1, 5, 5, CLASS_UNKNOWN_USER, 6 },
    { 1, 6, 6, CLASS_UNKNOWN_USER, 7 },
    { 1, 7, 7, CLASS_BAD_SENDER, 6 },
    { 1, 8, 8, CLASS_BAD_SENDER, 7 },
    { 1, 9, 9, CLASS_OTHER, 5 },
    { 1, 10, 10, CLASS_UNKNOWN_USER, 7 },
    { 1, 90, 90, CLASS_RATE_LIMIT, 7 },
    { 2, 1, 1, CLASS_UNKNOWN_USER, 6 },
    { 2, 2, 2, CLASS_MAILBOX_FULL, 8 },
    { 2, 3, 3, CLASS_SIZE, 7 },
    { 2, 4, 4, CLASS_LOCAL, 4 },
    { 2, 121, 122, CLASS_RATE_LIMIT, 8 },
    { 2, 252, 252, CLASS_BAD_SENDER, 7 },
    { 3, 0, 0, CLASS_LOCAL, 4 },
    { 3, 1, 1, CLASS_LOCAL, 6 },
    { 3, 2, 3, CLASS_LOCAL, 4 },
    { 3, 4, 4, CLASS_SIZE, 7 },
    { 3, 5, 5, CLASS_LOCAL, 7 },
    { 3, 6, 999, CLASS_LOCAL, 3 },
    { 4, 0, 0, CLASS_NETWORK, 4 },
    { 4, 1, 4, CLASS_NETWORK, 6 },
    { 4, 5, 5, CLASS_LOCAL, 5 },
    { 4, 6, 6, CLASS_OTHER, 8 },
    { 4, 7, 7, CLASS_NETWORK, 7 },
    { 4, 14, 14, CLASS_OTHER, 8 },
    { 4, 300, 399, CLASS_NETWORK, 6 },
    { 4, 8, 999, CLASS_NETWORK, 4 },
    { 5, 0, 0, CLASS_PROTOCOL, 3 },
    { 5, 1, 2, CLASS_PROTOCOL, 6 },
    { 5, 3, 3, CLASS_RATE_LIMIT, 8 },
    { 5, 4, 4, CLASS_PROTOCOL, 5 },
    { 5, 5, 6, CLASS_PROTOCOL, 6 },
    { 5, 7, 999, CLASS_PROTOCOL, 3 },
    { 6, 0, 0, CLASS_CONTENT, 5 },
    { 6, 1, 6, CLASS_CONTENT, 6 },
    { 6, 7, 11, CLASS_PROTOCOL, 7 },
    { 7, 2, 2, CLASS_OTHER, 6 },
    { 7, 4, 4, CLASS_PROTOCOL, 5 },
    { 7, 5, 5, CLASS_TLS, 4 },
    { 7, 8, 8, CLASS_RELAY_DENIED, 7 },
    { 7, 9, 9, CLASS_RELAY_DENIED, 2 },
    { 7, 10, 11, CLASS_TLS, 7 },
    { 7, 12, 12, CLASS_RELAY_DENIED, 6 },
    { 7, 13, 13, CLASS_UNKNOWN_USER, 7 },
    { 7, 14, 14, CLASS_RELAY_DENIED, 6 },
    { 7, 16, 16, CLASS_SIZE, 6 },
    { 7, 17, 18, CLASS_UNKNOWN_USER, 7 },
    { 7, 20, 24, CLASS_AUTH_POLICY, 8 },
    { 7, 25, 25, CLASS_REPUTATION, 8 },
    { 7, 26, 26, CLASS_AUTH_POLICY, 8 },
    { 7, 27, 27, CLASS_BAD_SENDER, 6 },
    { 7, 28, 28, CLASS_RATE_LIMIT, 8 },
    { 7, 29, 29, CLASS_AUTH_POLICY, 7 },
    { 7, 30, 30, CLASS_TLS, 7 },
    { 7, 31, 32, CLASS_AUTH_POLICY, 6 },
    { 7, 54, 54, CLASS_RELAY_DENIED, 7 },
    { 7, 57, 57, CLASS_RELAY_DENIED, 7 },
    { 7, 60, 60, CLASS_BAD_SENDER, 7 },
    { 7, 64, 64, CLASS_RELAY_DENIED, 7 },
    { 7, 100, 199, CLASS_OTHER, 6 },
    { 7, 230, 239, CLASS_RATE_LIMIT, 7 },
    { 7, 500, 503, CLASS_REPUTATION, 7 },
    { 7, 504, 505, CLASS_OTHER, 6 },
    { 7, 506, 507, CLASS_REPUTATION, 6 },
    { 7, 508, 508, CLASS_RATE_LIMIT, 7 },
    { 7, 509, 509, CLASS_AUTH_POLICY, 9 },
    { 7, 510, 510, CLASS_OTHER, 6 },
    { 7, 511, 511, CLASS_REPUTATION, 8 },
    { 7, 512, 512, CLASS_CONTENT, 7 },
    { 7, 513, 513, CLASS_REPUTATION, 8 },
    { 7, 515, 515, CLASS_AUTH_POLICY, 9 },
    { 7, 600, 699, CLASS_REPUTATION, 8 },
    { 7, 520, 599, CLASS_REPUTATION, 4 },
    { 7, 321, 325, CLASS_TLS, 8 },
    { 7, 703, 703, CLASS_REPUTATION, 6 },
    { 7, 708, 708, CLASS_REPUTATION, 7 },
    { 7, 700, 749, CLASS_RATE_LIMIT, 6 },
    { 7, 750, 750, CLASS_BAD_SENDER, 7 },
    { 7, 850, 899, CLASS_REPUTATION, 6 },
};

struct verdict {
    enum reply_class class;
    int rank;
};

static int take_number(const char **p)
{
    int n = 0;
    while (**p >= '0' && **p <= '9')
        n = n * 10 + (*(*p)++ - '0');
    return n;
}

/* Of ".7.1" with the class cut off. A policy's passing refusal without a word why is greylisting more often than
 * anything else. */
static struct verdict judge_status(const char *status, int code)
{
    if (*status != '.')
        return (struct verdict){ CLASS_NONE, 0 };
    status++;
    int subject = take_number(&status);
    status += *status == '.';
    int detail = take_number(&status);
    for (size_t i = 0; i < ARRAY_LEN(status_rules); i++) {
        const struct status_rule *r = &status_rules[i];
        if (r->subject == subject && r->from <= detail && detail <= r->to)
            return (struct verdict){ r->class, r->rank };
    }
    if (subject == 7 && detail == 1 && (code == 450 || code == 451))
        return (struct verdict){ CLASS_GREYLISTED, 4 };
    return (struct verdict){ CLASS_NONE, 0 };
}

/* The reply's enhanced code; where that is missing or says nothing, the first that its text has, as in "(#5.7.1)" or
 * where it repeats what the next server said. */
static struct verdict judge_enhanced(const struct smtp_reply *reply, const struct words *w)
{
    char status[SMTP_ENHANCED_LEN];
    struct verdict v = { CLASS_NONE, 0 };
    if (reply->enhanced[0])
        v = judge_status(reply->enhanced + 1, reply->code);
    for (unsigned i = 0; v.class == CLASS_NONE && i < w->count; i++)
        if (w->word[i].kind == WORD_STATUS && w->word[i].text.n < sizeof(status)) {
            memcpy(status, w->word[i].text.p, w->word[i].text.n);
            status[w->word[i].text.n] = '\0';
            v = judge_status(status, reply->code);
        }
    return v;
}

static enum reply_class judge_stage(int code, enum txn_stage stage)
{
    switch (stage) {
    case STAGE_MAIL:
        return code == 552 ? CLASS_SIZE : CLASS_BAD_SENDER;
    case STAGE_RCPT:
        return code == 552 ? CLASS_MAILBOX_FULL : code == 554 ? CLASS_OTHER : CLASS_UNKNOWN_USER;
    case STAGE_DATA:
        return CLASS_OTHER;
    case STAGE_TRANSFER:
    case STAGE_END:
        return code == 552 ? CLASS_SIZE : CLASS_CONTENT;
    case STAGE_COUNT:
        break;
    }
    return CLASS_OTHER;
}

/* Where the text and the enhanced code are silent. */
static enum reply_class judge_code(int code, enum txn_stage stage)
{
    if (code >= 550 && code <= 554)
        return judge_stage(code, stage);
    if (code == 450)
        return stage == STAGE_RCPT ? CLASS_GREYLISTED : CLASS_LOCAL;
    if (code == 454 || code == 523 || code == 538)
        return CLASS_TLS;
    if (code == 525 || code == 556)
        return CLASS_UNKNOWN_USER;
    if (code == 530 || code == 534 || code == 535)
        return CLASS_RELAY_DENIED;
    if (code == 455 || code == 555 || (code >= 500 && code <= 504))
        return CLASS_PROTOCOL;
    return code < 500 ? CLASS_LOCAL : CLASS_OTHER;
}

enum reply_class classify_reply(const struct smtp_reply *reply, enum txn_stage stage)
{
    struct words w;
    struct span line;
    size_t pos = 0;
    if (!smtp_reply_is(reply, 4) && !smtp_reply_is(reply, 5))
        return CLASS_NONE;
    if (reply->code == 535)
        return CLASS_RELAY_DENIED;
    words_begin(&w);
    words_add(&w, span_str(reply->enhanced));
    while (smtp_reply_line(reply, &pos, true, &line))
        words_add(&w, line);
    struct phrase_hit text = phrases_find(&w, reply->code);
    struct verdict status = judge_enhanced(reply, &w);
    if (text.class != CLASS_NONE && text.rank >= status.rank)
        return text.class;
    return status.class != CLASS_NONE ? status.class : judge_code(reply->code, stage);
}
