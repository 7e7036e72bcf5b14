/* A text as a whole: what a command's words say of its values goes before their looks, and of a text that was cut the
 * last word may be the beginning of anything. */
#include "common/codec.h"
#include "common/record/redact_impl.h"
#include "common/smtp/command.h"
#include "common/smtp/path.h"

/* What stands before the value is walked, and the value replaced by what the caller puts. */
static void replace_value(struct redact_walk *w, struct span value)
{
    struct span whole = w->text;
    size_t from = (size_t)(value.p - whole.p);
    w->text.n = from;
    redact_walk(w);
    w->text = whole;
    redact_replace(w, from, from + value.n);
}

/* What is no xtext is taken as it stands. The caller frees it. */
static void read_xtext(struct buf *plain, struct span value)
{
    buf_init(plain, NULL);
    if (codec_xtext_decode(plain, value))
        return;
    buf_free(plain);
    buf_append_span(plain, value);
}

/* XCLIENT and XFORWARD say what they tell: a name is one whatever it looks like. Addresses are found as anywhere. */
static void take_attribute(struct redact_walk *w, struct span key, struct span value)
{
    struct redact *x = w->x;
    struct buf plain;
    bool name = span_eq_nocase(key, SPAN_LIT("NAME")), login = span_eq_nocase(key, SPAN_LIT("LOGIN"));
    if ((!name && !login) || value.n == 0 || value.p[0] == '[')
        return;
    read_xtext(&plain, value);
    if (name ? x->rules.client_ip != REDACT_KEEP : redact_user_how(x, buf_span(&plain)) != REDACT_KEEP) {
        replace_value(w, value);
        if (name)
            redact_put_name(x, buf_span(&plain));
        else
            redact_put_user(x, buf_span(&plain));
    }
    buf_free(&plain);
}

static void walk_attributes(struct redact_walk *w)
{
    for (size_t i = 0; i < w->text.n;) {
        struct span word = span_skip(w->text, i);
        const char *blank = memchr(word.p, ' ', word.n);
        word.n = blank != NULL ? (size_t)(blank - word.p) : word.n;
        const char *sign = memchr(word.p, '=', word.n);
        i += word.n + 1;
        if (sign != NULL)
            take_attribute(w, span_head(word, (size_t)(sign - word.p)), span_skip(word, (size_t)(sign + 1 - word.p)));
    }
    redact_walk(w);
}

static void replace_address(struct redact_walk *w, struct span address)
{
    if (address.n == 0)
        return;
    replace_value(w, address);
    redact_put_whole(w->x, address);
}

/* "AUTH=bob+40example.com", "ORCPT=rfc822;bob": xtext. */
static void take_param(struct redact_walk *w, struct span word)
{
    struct span value = SPAN_NONE;
    struct buf plain;
    if (span_begins_nocase(word, SPAN_LIT("AUTH=")))
        value = span_skip(word, 5);
    const char *sign = span_begins_nocase(word, SPAN_LIT("ORCPT=")) ? memchr(word.p, ';', word.n) : NULL;
    if (sign != NULL)
        value = span_skip(word, (size_t)(sign + 1 - word.p));
    if (value.n == 0 || value.p[0] == '<')
        return;
    read_xtext(&plain, value);
    replace_value(w, value);
    redact_put_whole(w->x, buf_span(&plain));
    buf_free(&plain);
}

static void walk_envelope(struct redact_walk *w, const struct smtp_command *cmd)
{
    bool mail = cmd->verb == SMTP_VERB_MAIL;
    struct span prefix = mail ? SPAN_LIT("FROM:") : SPAN_LIT("TO:"), rest = cmd->arg;
    struct smtp_path path;
    bool named = span_begins_nocase(rest, prefix);
    rest = span_skip(rest, named ? prefix.n : 0);
    if (!named || smtp_path_parse(&path, &rest, mail ? SMTP_REVERSE_PATH : SMTP_FORWARD_PATH) != SMTP_PATH_OK) {
        replace_address(w, rest);
        return;
    }
    replace_address(w, path.raw);
    while (rest.n > 0) {
        size_t n = 0;
        while (n < rest.n && !span_is_blank(rest.p[n]))
            n++;
        take_param(w, span_head(rest, n));
        rest = span_trim_left(span_skip(rest, n));
    }
}

/* What a client, or we to the upstream, said. */
static void walk_command(struct redact_walk *w, struct span line)
{
    struct smtp_command cmd;
    smtp_command_parse(&cmd, line);
    if (w->x->rules.addresses == REDACT_KEEP)
        return;
    if (cmd.verb == SMTP_VERB_MAIL || cmd.verb == SMTP_VERB_RCPT)
        walk_envelope(w, &cmd);
    else if (cmd.verb == SMTP_VERB_VRFY || cmd.verb == SMTP_VERB_EXPN)
        replace_address(w, cmd.arg);
}

static bool is_identity(struct span line)
{
    return span_begins_nocase(line, SPAN_LIT("XCLIENT ")) || span_begins_nocase(line, SPAN_LIT("XFORWARD "));
}

/* Where the last word of a text that was cut begins, or what it is in: brackets, quotes. */
static size_t cut_word(struct span text)
{
    size_t quotes = 0, start = text.n, open = 0;
    while (start > 0 && !span_is_blank(text.p[start - 1]))
        start--;
    for (size_t i = 0; i < text.n; i++) {
        quotes += text.p[i] == '"';
        if (text.p[i] == '<' || (text.p[i] == '"' && quotes % 2 == 1))
            open = i + 1;
        else if (text.p[i] == '>' || text.p[i] == '"')
            open = 0;
    }
    return open > 0 ? min_size(open, start) : start;
}

static void take_cut_word(struct redact_walk *w)
{
    static const struct span ellipsis = { "\xe2\x80\xa6", 3 };
    struct span text = w->text;
    if (text.n <= ellipsis.n || memcmp(text.p + text.n - ellipsis.n, ellipsis.p, ellipsis.n) != 0)
        return;
    text.n -= ellipsis.n;
    size_t start = max_size(cut_word(text), w->copied);
    if (start == text.n)
        return;
    replace_value(w, span_skip(text, start));
    redact_put_star(w);
}

static bool is_redacted(const struct redact_rules *rules)
{
    return rules->addresses != REDACT_KEEP || rules->client_ip != REDACT_KEEP || rules->username != REDACT_KEEP;
}

static struct span take_whole(struct redact_walk *w)
{
    take_cut_word(w);
    redact_walk(w);
    if (!w->changed)
        return w->text;
    buf_append_span(&w->x->text, span_skip(w->text, w->copied));
    return redact_take(w->x);
}

static struct span redact_whole(struct redact *x, struct span text, bool command)
{
    struct redact_walk w = { .x = x, .text = text };
    bool said = span_begins_nocase(text, SPAN_LIT("C: "));
    struct span line = span_skip(text, said ? 3 : 0);
    if (!is_redacted(&x->rules))
        return text;
    if (is_identity(line))
        walk_attributes(&w);
    else if (said || command)
        walk_command(&w, line);
    return take_whole(&w);
}

struct span redact_text(struct redact *x, struct span text) { return redact_whole(x, text, false); }
struct span redact_command(struct redact *x, struct span line) { return redact_whole(x, line, true); }

/* Behind the code and the enhanced status code, where there are. */
static size_t behind_codes(struct span text, size_t at)
{
    struct span s = span_skip(text, at);
    if (s.n > 3 && span_is_digit(s.p[0]) && span_is_digit(s.p[1]) && span_is_digit(s.p[2]) &&
        (s.p[3] == ' ' || s.p[3] == '-'))
        s = span_skip(s, 4);
    size_t n = 0, dots = 0;
    for (; n < s.n && (span_is_digit(s.p[n]) || s.p[n] == '.'); n++)
        dots += s.p[n] == '.';
    if (dots == 2 && n >= 5 && (n == s.n || s.p[n] == ' '))
        s = span_skip(s, n);
    return text.n - s.n;
}

struct span redact_reply(struct redact *x, struct span text, size_t said)
{
    struct redact_walk w = { .x = x, .text = text, .reply = true, .said = behind_codes(text, said) };
    return is_redacted(&x->rules) ? take_whole(&w) : text;
}
