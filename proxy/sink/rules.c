/* A rule is read from left to right; the first part that is wrong is named together with what may stand there. */
#include "proxy/sink/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/conf.h"
#include "common/smtp/path.h"

enum { REPLY_TEXT_MAX = 500 };
#define DELAY_MAX (3600 * USEC_PER_SEC)

static const char *const STAGES[SINK_STAGES] = { "greeting", "helo", "mail", "rcpt", "data", "body", "end" };

struct reader {
    struct sink_rule *rule;
    char *why;
    size_t size;
};

static bool fault(const struct reader *in, const char *fmt, ...) PRINTF_LIKE(2, 3);
static bool fault(const struct reader *in, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(in->why, in->size, fmt, ap);
    va_end(ap);
    return false;
}

static bool read_stage(const struct reader *in, struct span word)
{
    for (unsigned i = 0; i < SINK_STAGES; i++) {
        if (span_eq_nocase(word, span_str(STAGES[i]))) {
            in->rule->stage = (enum sink_stage)i;
            return true;
        }
    }
    return fault(in, "stage \"%.*s\" is not one of greeting, helo, mail, rcpt, data, body, end",
                 (int)min_size(word.n, 40), word.p);
}

/* "25", "0.5", "12.25" as hundredths; SINK_SHARE_ALL + 1 where it is none of these. */
static unsigned parse_share(struct span s)
{
    unsigned v = 0, decimals = 0;
    bool point = false, digits = false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.' && !point) {
            point = true;
        } else if (span_is_digit(s.p[i]) && v <= SINK_SHARE_ALL && decimals < 2) {
            v = v * 10 + (unsigned)(s.p[i] - '0');
            decimals += point;
            digits = true;
        } else {
            return SINK_SHARE_ALL + 1;
        }
    }
    for (; decimals < 2; decimals++)
        v *= 10;
    return digits ? v : SINK_SHARE_ALL + 1;
}

static bool read_share(const struct reader *in, struct span text)
{
    in->rule->share = parse_share(text);
    if (in->rule->share >= 1 && in->rule->share <= SINK_SHARE_ALL)
        return true;
    return fault(in, "share \"%.*s\" is not a percentage from 0.01 to 100", (int)min_size(text.n, 40), text.p);
}

static bool read_delay(const struct reader *in, struct span text)
{
    in->rule->action = SINK_DELAY;
    if (conf_duration_parse(&in->rule->delay, text) && in->rule->delay <= DELAY_MAX)
        return true;
    return fault(in, "delay \"%.*s\" is not a duration up to 1h, such as 500ms, 2s, 5m", (int)min_size(text.n, 40),
                 text.p);
}

/* 200 to 599: what a client would read as a reply at all. */
static bool is_reply(struct span text)
{
    return text.n >= 3 && text.p[0] >= '2' && text.p[0] <= '5' && span_is_digit(text.p[1]) &&
           span_is_digit(text.p[2]) && (text.n == 3 || text.p[3] == ' ');
}

static bool read_reply(const struct reader *in, struct span text)
{
    struct sink_rule *r = in->rule;
    if (text.n > REPLY_TEXT_MAX || smtp_text_has_control(text) || !codec_utf8_valid(text))
        return fault(in, "a reply is one line of at most %d octets of UTF-8 without control characters",
                     REPLY_TEXT_MAX);
    bool bare = span_trim(text).n == 3;
    int n = bare ? asprintf(&r->wire, "%.3s %.1s.0.0 As the rule says\r\n", text.p, text.p)
                 : asprintf(&r->wire, "%.*s\r\n", SPAN_ARG(text));
    if (n < 0)
        abort();
    r->action = SINK_REPLY;
    r->reply = smtp_reply_read(span_of(r->wire, (size_t)n));
    if (r->stage == SINK_GREETING && r->reply.code < 400)
        return fault(in, "at greeting only a reply of 4xx or 5xx can stand for ours");
    return true;
}

static bool read_action(const struct reader *in, struct span text)
{
    struct span delay = SPAN_LIT("delay:");
    in->rule->action = span_eq_nocase(text, SPAN_LIT("hang")) ? SINK_HANG : SINK_DROP;
    if (in->rule->action == SINK_HANG || span_eq_nocase(text, SPAN_LIT("drop")))
        return true;
    if (span_begins_nocase(text, delay))
        return read_delay(in, span_skip(text, delay.n));
    if (is_reply(text))
        return read_reply(in, text);
    return fault(in, "action \"%.*s\" is not one of: a reply of 200 to 599 (450 4.2.1 busy), delay:2s, drop, hang",
                 (int)min_size(text.n, 40), text.p);
}

static bool read_rule(const struct reader *in, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return fault(in, "there is no \"=\": a rule is STAGE[%%SHARE]=ACTION, such as rcpt%%25=450 4.2.1 busy");
    struct span left = span_of(text, (size_t)(equals - text));
    const char *percent = memchr(left.p, '%', left.n);
    struct span stage = percent ? span_of(left.p, (size_t)(percent - left.p)) : left;
    if (!read_stage(in, stage))
        return false;
    if (percent != NULL && !read_share(in, span_skip(left, stage.n + 1)))
        return false;
    return read_action(in, span_str(equals + 1));
}

bool sink_rules_add(struct sink_rules *r, const char *text, char *why, size_t size)
{
    struct reader in = { .rule = &r->rule[r->count], .why = why, .size = size };
    if (r->count == SINK_RULES_MAX)
        return fault(&in, "there may be %d rules", SINK_RULES_MAX);
    *in.rule = (struct sink_rule){ .text = text, .share = SINK_SHARE_ALL };
    if (read_rule(&in, text)) {
        r->count++;
        return true;
    }
    free(in.rule->wire);
    return false;
}

void sink_rules_free(struct sink_rules *r)
{
    for (unsigned i = 0; i < r->count; i++)
        free(r->rule[i].wire);
    r->count = 0;
}

/* The n-th event, from 1: those where the share of all so far reaches the next whole number. */
static bool hits(struct sink_rule *rule)
{
    unsigned long long n = atomic_fetch_add(&rule->met, 1) + 1;
    if (n * rule->share / SINK_SHARE_ALL == (n - 1) * rule->share / SINK_SHARE_ALL)
        return false;
    atomic_fetch_add(&rule->hit, 1);
    return true;
}

struct sink_verdict sink_rules_meet(struct sink_rules *r, enum sink_stage stage)
{
    struct sink_verdict v = { 0 };
    for (unsigned i = 0; i < r->count && v.rule == NULL; i++) {
        struct sink_rule *rule = &r->rule[i];
        if (rule->stage != stage || !hits(rule))
            continue;
        if (rule->action == SINK_DELAY)
            v.delay += rule->delay;
        else
            v.rule = rule;
    }
    return v;
}
