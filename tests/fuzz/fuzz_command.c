/* One line as the server reads it: command, then path, then parameters; and what would be sent upstream for it, read
 * again. Readers with other ideas of quoting must find the same end of the path, and a regular expression written from
 * the RFC's grammar must agree on what is strict. Input: capabilities (2 bytes), then the line. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/smtp/command.h"
#include "common/smtp/params.h"
#include "common/smtp/path.h"

#define ALL (((smtp_cap_set)1 << SMTP_CAP_COUNT) - 1)
#define NAME "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
#define DOMAIN NAME "(\\." NAME ")*"
#define ATOM "[]A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define QUOTED "\"([] !#-[^-~]|\\\\[ -~])*\""

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static regex_t strict_ascii;

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(regcomp(&strict_ascii, "^(@" DOMAIN "(,@" DOMAIN ")*:)?(" ATOM "(\\." ATOM ")*|" QUOTED ")@" DOMAIN "$",
                    REG_EXTENDED | REG_NOSUB) == 0);
    return 0;
}

static void check_command(const struct smtp_command *cmd, struct span line)
{
    require(span_eq(cmd->line, line));
    require(cmd->verb == smtp_verb_find(cmd->word));
    for (size_t i = 0; i < cmd->word.n; i++)
        require(!span_is_blank(cmd->word.p[i]));
    if (cmd->verb != SMTP_VERB_UNKNOWN)
        require(span_eq_nocase(cmd->word, span_str(smtp_verb_name(cmd->verb))));
    if (cmd->verb == SMTP_VERB_AUTH)
        require(smtp_line_is_auth(line));
    if (cmd->fault != SMTP_LINE_OK)
        return;
    require(cmd->word.n > 0 && cmd->word.p == line.p);
    require(span_eq(cmd->arg, span_trim(cmd->arg)));
    require(!memchr(line.p, '\0', line.n) && !memchr(line.p, '\r', line.n) && !memchr(line.p, '\n', line.n));
}

/* Other ideas of quoting: a quote counts anywhere; a backslash outside quotes counts too; a quote opens only where a
 * word begins. */
enum idea { QUOTES, BACKSLASHES, WORDS, IDEAS };

/* Where such a reader ends the path that begins at text: its '>' (or a blank, which would be as bad) outside quotes. */
static size_t other_reader(struct span text, enum idea idea)
{
    bool quoted = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (c == '\\' && (quoted || idea == BACKSLASHES))
            i++;
        else if (c == '"' && (quoted || idea != WORDS || i == 0 || text.p[i - 1] == '.'))
            quoted = !quoted;
        else if (!quoted && (c == '>' || c == ' '))
            return i;
    }
    return SIZE_MAX;
}

static void check_bytes(struct span text)
{
    static const char *const hidden[] = { "\xe2\x80\x8b", "\xe2\x81\xa0", "\xef\xbb\xbf" };

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];

        require(c >= ' ' && c != 0x7f);
        require(c != 0xc2 || i + 1 == text.n || (unsigned char)text.p[i + 1] < 0x80 ||
                (unsigned char)text.p[i + 1] > 0x9f);
    }
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
        require(text.n == 0 || !memmem(text.p, text.n, hidden[i], 3));
}

static void check_strict(const struct smtp_path *path, bool bracketed)
{
    char copy[300];

    if (!bracketed || path->raw.n > 254 || !path->valid_utf8) {
        require(!path->strict);
        return;
    }
    if (path->non_ascii || path->domain.n == 0 || path->domain.p[0] == '[')
        return;
    memcpy(copy, path->raw.p, path->raw.n);
    copy[path->raw.n] = '\0';
    require(path->strict == (regexec(&strict_ascii, copy, 0, NULL, 0) == 0));
}

static void check_path(const struct smtp_path *path, enum smtp_path_kind kind, bool bracketed)
{
    require(path->address.n <= path->raw.n);
    require(path->address.p + path->address.n == path->raw.p + path->raw.n);
    require(path->address.n > 0 || (kind == SMTP_REVERSE_PATH && path->strict));
    require(path->local.n + (path->domain.n ? path->domain.n + 1 : 0) + 1 >= path->address.n);
    if (path->domain.n > 0)
        require(path->local.n > 0 && path->address.p[path->local.n] == '@' &&
                path->domain.p == path->address.p + path->local.n + 1);
    check_bytes(path->raw);
    if (path->address.n > 0)
        check_strict(path, bracketed);
}

/* The line that goes upstream. */
static void upstream_line(struct buf *out, enum smtp_path_kind kind, const struct smtp_path *path, struct span params,
                          const char *drop)
{
    buf_printf(out, "%s:<", kind == SMTP_REVERSE_PATH ? "MAIL FROM" : "RCPT TO");
    buf_append_span(out, path->address);
    buf_append(out, ">", 1);
    smtp_params_copy(out, params, drop);
}

/* Reads the upstream's line as its MTA might; returns its parameters. */
static struct span read_again(struct span line, enum smtp_path_kind kind, const struct smtp_path *sent)
{
    size_t open = kind == SMTP_REVERSE_PATH ? sizeof("MAIL FROM:<") - 1 : sizeof("RCPT TO:<") - 1;
    struct smtp_command cmd;
    struct smtp_path path;
    struct span arg = span_skip(line, open - 1);

    check_bytes(span_head(line, open + sent->address.n + 1));
    smtp_command_parse(&cmd, line);
    require(cmd.fault == SMTP_LINE_OK);
    require(cmd.verb == (kind == SMTP_REVERSE_PATH ? SMTP_VERB_MAIL : SMTP_VERB_RCPT));
    for (int idea = QUOTES; idea < IDEAS; idea++)
        require(other_reader(span_skip(line, open), (enum idea)idea) == sent->address.n);
    require(smtp_path_parse(&path, &arg, kind) == SMTP_PATH_OK);
    require(span_eq(path.address, sent->address) && span_eq(path.raw, sent->address));
    require(span_eq(path.local, sent->local) && span_eq(path.domain, sent->domain));
    require(!sent->strict || path.strict);
    return arg;
}

static void check_same_mail(const struct smtp_mail_params *a, const struct smtp_mail_params *b, bool dropped)
{
    require(a->body == b->body && a->smtputf8 == b->smtputf8 && a->requiretls == b->requiretls && a->ret == b->ret);
    require(span_eq(a->envid, b->envid));
    require(dropped ? !b->has_size && !b->has_auth : a->has_size == b->has_size && a->size == b->size);
    require(dropped || (a->has_auth == b->has_auth && span_eq(a->auth, b->auth)));
}

/* Sends the path with its parameters, all or without some, and reads what was sent. */
static void check_mail(const struct smtp_path *path, struct span params, smtp_cap_set offered, bool dropped)
{
    struct smtp_mail_params given, again;
    struct buf out;

    if (smtp_mail_params_parse(&given, params, offered) != SMTP_PARAM_OK)
        return;
    require(smtp_mail_params_parse(&again, params, ALL) == SMTP_PARAM_OK);
    check_same_mail(&given, &again, false);
    buf_init(&out, NULL);
    upstream_line(&out, SMTP_REVERSE_PATH, path, params, dropped ? "SIZE AUTH" : NULL);
    check_bytes(buf_span(&out));
    params = read_again(buf_span(&out), SMTP_REVERSE_PATH, path);
    require(smtp_mail_params_parse(&again, params, offered) == SMTP_PARAM_OK);
    check_same_mail(&given, &again, dropped);
    buf_free(&out);
}

static void check_rcpt(const struct smtp_path *path, struct span params, smtp_cap_set offered)
{
    struct smtp_rcpt_params given, again;
    struct buf out;

    if (smtp_rcpt_params_parse(&given, params, offered) != SMTP_PARAM_OK)
        return;
    require((given.notify & SMTP_NOTIFY_NEVER) == 0 || given.notify == SMTP_NOTIFY_NEVER);
    buf_init(&out, NULL);
    upstream_line(&out, SMTP_FORWARD_PATH, path, params, NULL);
    check_bytes(buf_span(&out));
    params = read_again(buf_span(&out), SMTP_FORWARD_PATH, path);
    require(smtp_rcpt_params_parse(&again, params, offered) == SMTP_PARAM_OK);
    require(given.notify == again.notify && span_eq(given.orcpt, again.orcpt));
    buf_free(&out);
}

static void run_path(struct span arg, enum smtp_path_kind kind, smtp_cap_set offered)
{
    bool bracketed = span_begins_nocase(span_trim_left(arg), SPAN_LIT("<"));
    struct smtp_path path;
    struct span params = arg;

    if (smtp_path_parse(&path, &params, kind) != SMTP_PATH_OK) {
        require(span_eq(params, arg) && params.p == arg.p);
        return;
    }
    check_path(&path, kind, bracketed);
    require(params.n == 0 || !span_is_blank(params.p[0]));
    if (kind == SMTP_FORWARD_PATH) {
        check_rcpt(&path, params, offered);
        return;
    }
    check_mail(&path, params, offered, false);
    check_mail(&path, params, offered, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smtp_command cmd;
    struct span line;
    smtp_cap_set offered;

    if (size < 2)
        return 0;
    offered = ((smtp_cap_set)data[0] | (smtp_cap_set)data[1] << 8) & ALL;
    line = span_of((const char *)data + 2, size - 2);
    smtp_command_parse(&cmd, line);
    check_command(&cmd, line);
    require(!smtp_helo_valid(line) || (line.n > 0 && line.n <= 255));
    if (cmd.verb == SMTP_VERB_MAIL && span_begins_nocase(cmd.arg, SPAN_LIT("FROM:")))
        run_path(span_skip(cmd.arg, 5), SMTP_REVERSE_PATH, offered);
    else if (cmd.verb == SMTP_VERB_RCPT && span_begins_nocase(cmd.arg, SPAN_LIT("TO:")))
        run_path(span_skip(cmd.arg, 3), SMTP_FORWARD_PATH, offered);
    return 0;
}
