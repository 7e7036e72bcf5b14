/* What the files of proxy/settings share: the tables of keys, the types of values that only settings have, and the
 * checks that look at more than one value. */
#ifndef PROXY_SETTINGS_TABLES_H
#define PROXY_SETTINGS_TABLES_H

#include "common/conf.h"
#include "proxy/settings.h"

extern const struct conf_table settings_table, settings_server_table, settings_auth_table, settings_limits_table,
    settings_timeouts_table, settings_upstream_table;

/* One more at the end, with what it inherits. */
void settings_add_output(struct log_settings *log);
void settings_add_listener(struct settings *s);

/* Types: the member is a char *, an unsigned, a set of bits, or the whole struct that is named. */
extern const struct conf_text settings_hostname;    /* char * */
extern const struct conf_text settings_address;     /* struct listener_settings */
extern const struct conf_text settings_servers;     /* struct upstream_settings */
extern const struct conf_text settings_file_mode;   /* unsigned */
extern const struct conf_text settings_verbs;       /* uint32_t */
extern const struct conf_text settings_caps;        /* smtp_cap_set */
extern const struct conf_text settings_headers;     /* struct log_settings */
extern const struct conf_text settings_dns_servers; /* struct settings */

/* Puts Message-ID into an empty list of headers. */
void settings_complete_headers(struct log_settings *l);
/* A domain or an address literal, as it may stand in a banner or an EHLO. */
bool settings_is_hostname(struct span s);

/* Faults that lie between values. */
void settings_verify(const struct settings *s, struct conf *c);
/* What only `check` does: looks at files and sockets, and warns. */
void settings_inspect(const struct settings *s, struct conf *c);

#endif
