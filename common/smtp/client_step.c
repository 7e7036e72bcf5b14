/* A step of the client engine: a line to be said, of which the log sees what is no secret. Invariant: a secret is wiped
 * with its step. */
#include <stdlib.h>

#include "common/smtp/client.h"
#include "common/smtp/secret.h"

static const enum smtp_verb step_verb[] = {
    [SMTP_STEP_XCLIENT] = SMTP_VERB_XCLIENT,  [SMTP_STEP_XFORWARD] = SMTP_VERB_XFORWARD,
    [SMTP_STEP_GREETING] = SMTP_VERB_UNKNOWN, [SMTP_STEP_EHLO] = SMTP_VERB_EHLO,
    [SMTP_STEP_HELO] = SMTP_VERB_HELO,        [SMTP_STEP_STARTTLS] = SMTP_VERB_STARTTLS,
    [SMTP_STEP_MAIL] = SMTP_VERB_MAIL,        [SMTP_STEP_RCPT] = SMTP_VERB_RCPT,
    [SMTP_STEP_DATA] = SMTP_VERB_DATA,        [SMTP_STEP_END] = SMTP_VERB_DATA,
    [SMTP_STEP_BDAT] = SMTP_VERB_BDAT,        [SMTP_STEP_LAST] = SMTP_VERB_BDAT,
    [SMTP_STEP_RSET] = SMTP_VERB_RSET,        [SMTP_STEP_AUTH] = SMTP_VERB_AUTH,
    [SMTP_STEP_RESPONSE] = SMTP_VERB_UNKNOWN, [SMTP_STEP_PASS] = SMTP_VERB_UNKNOWN,
    [SMTP_STEP_QUIT] = SMTP_VERB_QUIT,
};

struct smtp_step *smtp_step_new(enum smtp_step_kind kind, struct smtp_tag tag, struct span text)
{
    struct smtp_step *step = malloc(sizeof(*step) + text.n);
    if (step == NULL)
        abort();
    *step = (struct smtp_step){ .kind = kind, .verb = step_verb[kind], .tag = tag, .replies = 1, .len = text.n };
    if (text.n > 0)
        memcpy(step->text, text.p, text.n);
    list_init(&step->node);
    return step;
}

void smtp_step_free(struct smtp_step *step)
{
    if (smtp_step_is_secret(step))
        explicit_bzero(step->text, step->len);
    free(step);
}

void smtp_steps_free(struct list *steps)
{
    for (struct list *node = steps->next, *next; node != steps; node = next) {
        next = node->next;
        smtp_step_free(LIST_ENTRY(node, struct smtp_step, node));
    }
    list_init(steps);
}

/* What is secret of its text: in AUTH, what stands behind the mechanism. */
static struct span response_of(const struct smtp_step *step)
{
    struct span text = span_of(step->text, step->len);
    for (unsigned words = step->kind == SMTP_STEP_AUTH ? 2 : 0; words > 0; words--) {
        const char *blank = text.n > 0 ? memchr(text.p, ' ', text.n) : NULL;
        text = blank != NULL ? span_skip(text, (size_t)(blank - text.p) + 1) : SPAN_NONE;
    }
    return text;
}

bool smtp_step_must_hide(const struct smtp_step *step, const struct smtp_reply *reply)
{
    return smtp_step_is_secret(step) && (reply->code == 334 || smtp_reply_echoes(reply, response_of(step)));
}

struct span smtp_step_shown(const struct smtp_step *step, char out[SMTP_STEP_SHOWN])
{
    struct span line = span_of(step->text, step->len);
    if (!smtp_step_is_secret(step))
        return line;
    if (step->kind == SMTP_STEP_RESPONSE || line.n < 5)
        return SPAN_LIT("*");
    const char *blank = memchr(line.p + 5, ' ', line.n - 5);
    size_t n = blank != NULL ? (size_t)(blank - line.p) : line.n;
    if (n + 2 > SMTP_STEP_SHOWN)
        return SPAN_LIT("AUTH *");
    memcpy(out, line.p, n);
    memcpy(out + n, " *", 2);
    return span_of(out, blank != NULL ? n + 2 : n);
}
