/* What the files of the server engine share; nobody else includes this. */
#ifndef COMMON_SMTP_SERVER_IMPL_H
#define COMMON_SMTP_SERVER_IMPL_H

#include "common/smtp/server.h"

/* Opens the reply slot of a command. */
smtp_slot smtp_server_slot_open(struct smtp_server *s, enum smtp_verb verb, unsigned tag, usec_t now);
/* Runs a parsed command whose slot is open. */
void smtp_server_run(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot);
/* What the log may see of a line (A15, events.md "Never in a record"); updates the masks. */
struct span smtp_server_mask(struct smtp_server *s, const struct smtp_command *cmd, const char **verb_name);
/* Whether a line that doesn't begin with AUTH has it, or the name of a mechanism, as a word; what is behind it. */
bool smtp_server_finds_auth(const struct smtp_command *cmd, struct span *behind);
/* Before a line is masked: it may end the suspicion that text comes in as commands, or be what gives cause for it. */
void smtp_server_text_end(struct smtp_server *s, const struct smtp_command *cmd);
/* Whether the suspicion begins with this line; what may be shown of that one. */
bool smtp_server_text_begins(struct smtp_server *s, const struct smtp_command *cmd);
struct span smtp_server_text_shown(const struct smtp_server *s, const struct smtp_command *cmd);
/* The body: DATA was answered 354; bytes of it; its reply was given. */
void smtp_server_data_begin(struct smtp_server *s);
size_t smtp_server_data_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want);
void smtp_server_data_free(struct smtp_server *s);
static inline unsigned smtp_server_slots_open(const struct smtp_server *s) { return s->slot_tail - s->slot_head; }
static inline struct smtp_slot_entry *smtp_server_slot(struct smtp_server *s, smtp_slot slot)
{
    return &s->slots[slot & (s->slot_cap - 1)];
}
/* It is told to go as soon as nothing is under way. */
static inline bool smtp_server_leaves(const struct smtp_server *s)
{
    return s->shutdown && !(s->spared && s->mails == 0);
}
/* The own reply as this session says it. */
const struct smtp_reply *smtp_server_words(const struct smtp_server *s, enum smtp_own id);
/* Whether the verb has to wait for a login (A13); the count of those that came without one is over its limit. */
bool smtp_server_needs_auth(const struct smtp_server *s, enum smtp_verb verb);
bool smtp_server_too_many_unauthenticated(struct smtp_server *s, enum smtp_verb verb);
/* AUTH, and the lines of its exchange. */
void smtp_server_run_auth(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot);
size_t smtp_server_auth_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want);
/* What a reply to one of them means. Spent: it is the failure that is one too many. */
bool smtp_server_auth_spent(struct smtp_server *s, const struct smtp_slot_entry *e, int code);
void smtp_server_auth_conclude(struct smtp_server *s, const struct smtp_slot_entry *e, int code);
/* Notes an AUTH command, which is over with the first reply but 334. */
void smtp_server_auth_began(struct smtp_server *s, const struct smtp_command *cmd);
void smtp_server_auth_over(struct smtp_server *s, const struct smtp_reply *reply);
/* The name of a mechanism that is widely known, static, or NULL. */
const char *smtp_server_mechanism(struct span word);
/* A line is over its limit: what ends at the next LF gets this reply. Returns what is taken of `in`. */
size_t smtp_server_begin_skip(struct smtp_server *s, struct span in, unsigned tag, usec_t now, enum smtp_own id);
/* Why a command that wants a transaction is refused where there is none. */
enum smtp_own smtp_server_need_mail(const struct smtp_server *s);
/* Whether the message, by DATA or BDAT, may come and has somebody to go to: SMTP_OWN_COUNT, or why not (D1, B2, LM5,
 * U3). */
enum smtp_own smtp_server_check_rcpt(const struct smtp_server *s);
/* Poisons the message if a limit is broken. */
void smtp_server_check_limits(struct smtp_server *s);
/* BDAT: bad is why it is refused, SMTP_OWN_COUNT: nothing is wrong so far. A chunk; one that is refused; its reply. */
void smtp_server_bdat(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot, enum smtp_own bad);
void smtp_server_refuse_bdat(struct smtp_server *s);
size_t smtp_server_bdat_step(struct smtp_server *s, struct span in, enum smtp_server_want *want);
size_t smtp_server_skip_chunk(struct smtp_server *s, struct span in, enum smtp_server_want *want);
void smtp_server_bdat_concluded(struct smtp_server *s, bool last, bool ok);
/* Gives up the open transaction, if there is one. */
void smtp_server_abandon(struct smtp_server *s, enum smtp_abandon why, const struct smtp_reply *reply);

/* XCLIENT, XFORWARD. */
void smtp_server_run_xclient(struct smtp_server *s, const struct smtp_command *cmd, smtp_slot slot);
/* Back to the greeting: HELO and what was offered are forgotten. */
void smtp_server_forget_hello(struct smtp_server *s);

#endif
