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
/* The body: DATA was answered 354; bytes of it; its reply was given. */
void smtp_server_data_begin(struct smtp_server *s);
size_t smtp_server_data_step(struct smtp_server *s, struct span in, usec_t now, enum smtp_server_want *want);
void smtp_server_data_free(struct smtp_server *s);
/* Gives up the open transaction, if there is one. */
void smtp_server_abandon(struct smtp_server *s, enum smtp_abandon why, const struct smtp_reply *reply);

#endif
