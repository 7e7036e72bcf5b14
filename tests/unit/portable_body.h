/* The body scanner once more, without SSE2, under names of its own: beside the one that the program has. */
#ifndef TESTS_UNIT_PORTABLE_BODY_H
#define TESTS_UNIT_PORTABLE_BODY_H

#include "common/smtp/body.h"

void portable_body_init(struct smtp_body *b, enum smtp_bare_newline mode);
size_t portable_body_scan(struct smtp_body *b, struct span in, struct smtp_body_out *out);
void portable_body_pass(struct smtp_body *b, struct span in);
#define SMTP_BODY_PORTABLE
#define smtp_body_init portable_body_init
#define smtp_body_scan portable_body_scan
#define smtp_body_pass portable_body_pass
#include "common/smtp/body.c" /* NOLINT */
#undef smtp_body_init
#undef smtp_body_scan
#undef smtp_body_pass

#endif
